//! The revision log: epochs, revisions, the pages that gateways get, and compaction.
//!
//! The log is the key table itself: each row carries the revision of its last change, so it is compact by nature, a
//! difference is a range of one index, and the whole table in order of hashes is a range of another. Removed keys stay
//! in the log until newer removals push them below the floor.

use async_trait::async_trait;

use super::columns::Columns;
use super::statement::{Sql, Statement};
use super::tags;
use super::values::{enforced, environment, hash, limits, restrictions, signed, unsigned};
use crate::contract::{KeyHash, KeyRecord};
use crate::domain::error::Error;
use crate::domain::log::{Change, Head, Page, RESTORED_EPOCH, Since};
use crate::domain::plans::Plan;
use crate::domain::random;
use crate::store::seam::log::{ReadLog, WriteLog};
use crate::store::seam::plans::ReadPlans as _;

const RECORD: &str = "SELECT k.hash, k.id, w.id AS workspace, k.environment, k.expires_at, k.listed,
        COALESCE(k.revision, 0) AS revision, 
        COALESCE(k.limits, CASE WHEN k.plan IS NULL THEN w.default_limits ELSE '[]' END) AS limits, k.plan, w.plan AS workspace_plan,
        w.ceiling, w.workspace_limits, k.restrictions, k.shadow
    FROM api_keys k JOIN workspaces w ON w.seq = k.workspace_seq";

#[async_trait]
impl<S: Sql> ReadLog for S {
    async fn changes_since(&mut self, after: u64, tag: Option<&str>, limit: u32) -> Result<Since, Error> {
        let tag = tag.map(str::to_owned);
        self.at_one_moment(move |sql| Box::pin(changes_since(sql, after, tag, limit))).await
    }

    async fn part_of_table(&mut self, cursor: Option<KeyHash>, limit: u32) -> Result<Page, Error> {
        self.at_one_moment(move |sql| {
            Box::pin(async move {
                let head = tags::head(sql).await?;
                let part = format!("{RECORD} WHERE k.listed = 1 AND k.hash > $1 ORDER BY k.hash LIMIT $2");
                let from = cursor.map(|hash| hash.0.to_vec()).unwrap_or_default();
                let rows = sql.rows(Statement::new(part).bind(from).bind(i64::from(limit) + 1)).await?;
                let mut page = page(head, &rows, limit)?;
                if cursor.is_none() {
                    page.plans = sql.list_plans().await?;
                }
                Ok(page)
            })
        })
        .await
    }
}

#[async_trait]
impl<S: Sql> WriteLog for S {
    async fn touch(&mut self) -> Result<(), Error> {
        self.run(Statement::new("UPDATE revision_log SET revision = revision")).await.map(drop)
    }

    async fn compact_log(&mut self, keep: u32) -> Result<Option<u64>, Error> {
        let find = Statement::new(
            "SELECT revision FROM api_keys WHERE listed = 0 AND revision IS NOT NULL ORDER BY revision DESC LIMIT 1 OFFSET $1",
        );
        let Some(row) = self.row(find.bind(keep)).await? else { return Ok(None) };
        let newest = row.number("revision")?;
        // Whoever follows the log by revision finds them no more.
        let idle = "DELETE FROM idle_keys WHERE key_seq IN (SELECT seq FROM api_keys WHERE listed = 0 AND revision <= $1)";
        self.run(Statement::new(idle).bind(newest)).await?;
        let removed = "UPDATE api_keys SET revision = NULL WHERE listed = 0 AND revision <= $1";
        self.run(Statement::new(removed).bind(newest)).await?;
        self.run(Statement::new("UPDATE revision_log SET floor = $1").bind(newest)).await?;
        unsigned(newest).map(Some)
    }

    async fn prune_tags(&mut self, keep: u32) -> Result<(), Error> {
        let prune = Statement::new(
            "DELETE FROM revision_tags WHERE revision < (SELECT floor FROM revision_log)
             OR revision <= (SELECT revision FROM revision_tags ORDER BY revision DESC LIMIT 1 OFFSET $1)",
        );
        self.run(prune.bind(keep)).await.map(drop)
    }
}

/// Makes the log of a new database.
pub async fn ensure_epoch(sql: &mut impl Sql) -> Result<(), Error> {
    let insert = "INSERT INTO revision_log (only_row, epoch, revision, floor) VALUES (1, $1, 0, 0) ON CONFLICT DO NOTHING";
    sql.run(Statement::new(insert).bind(random::id("e_")?)).await.map(drop)
}

/// Begins a new history with what was restored: every gateway will fetch the whole table. The revision goes on, so it never goes back.
pub async fn new_epoch(sql: &mut impl Sql) -> Result<(), Error> {
    // What was lent after the backup was made is not in it.
    sql.run(Statement::new("DELETE FROM saved_books")).await?;
    let update = Statement::new("UPDATE revision_log SET epoch = $1, revision = revision + 1");
    sql.run(update.bind(random::id(RESTORED_EPOCH)?)).await.map(drop)
}

/// Takes the next `count` revisions and returns the first of them.
pub async fn take_revisions(sql: &mut impl Sql, count: u64) -> Result<i64, Error> {
    let count = i64::try_from(count).map_err(Error::internal)?;
    let take = "UPDATE revision_log SET revision = revision + $1 RETURNING revision AS n";
    Ok(sql.number(Statement::new(take).bind(count)).await? - count + 1)
}

async fn changes_since(
    sql: &mut impl Sql,
    after: u64,
    tag: Option<String>,
    limit: u32,
) -> Result<Since, Error> {
    let head = tags::head(sql).await?;
    if after > head.revision {
        return Ok(Since::Unknown);
    }
    // First: below the floor there are no tags any more that could tell another history.
    let floor = sql.number(Statement::new("SELECT floor AS n FROM revision_log")).await?;
    if after < unsigned(floor)? {
        return Ok(Since::TooOld);
    }
    let base_tag = tags::of(sql, after).await?.unwrap_or_default();
    if tag.is_some_and(|tag| tag != base_tag) {
        return Ok(Since::Unknown);
    }
    let changes = format!("{RECORD} WHERE k.revision > $1 ORDER BY k.revision LIMIT $2");
    let rows = sql.rows(Statement::new(changes).bind(signed(after)?).bind(i64::from(limit) + 1)).await?;
    let mut page = page(head, &rows, limit)?;
    page.plans = plans_since(sql, after).await?;
    // With more to come, the gateway is only as far as the last change that it got.
    if let Some(last) = page.changes.last().filter(|_| page.more) {
        page.revision = last.revision;
        page.tag = tags::of(sql, page.revision).await?.unwrap_or_default();
    }
    Ok(Since::Changes { page, base_tag })
}

/// All plans, when one of them has changed after this revision.
async fn plans_since(sql: &mut impl Sql, after: u64) -> Result<Vec<Plan>, Error> {
    let newest = sql.number(Statement::new("SELECT COALESCE(MAX(revision), 0) AS n FROM plans")).await?;
    if unsigned(newest)? > after { sql.list_plans().await } else { Ok(Vec::new()) }
}

fn page(head: Head, rows: &[impl Columns], limit: u32) -> Result<Page, Error> {
    let limit = usize::try_from(limit).map_err(Error::internal)?;
    let changes = rows.iter().take(limit).map(change).collect::<Result<_, _>>()?;
    let (revision, tag) = (head.revision, head.tag.clone());
    Ok(Page { head, revision, tag, plans: Vec::new(), changes, more: rows.len() > limit })
}

fn change(row: &impl Columns) -> Result<Change, Error> {
    let record = KeyRecord {
        expires_at: row.maybe_number("expires_at")?.map(unsigned).transpose()?,
        limits: enforced(row, limits(row.text("limits")?)?)?,
        restrict: restrictions(row)?,
        plan: row.maybe_text("plan")?,
        workspace_plan: row.maybe_text("workspace_plan")?,
        shadow: row.flag("shadow")?,
        ..KeyRecord::new(row.text("id")?, row.text("workspace")?, environment(row.text("environment")?)?)
    };
    let revision = unsigned(row.number("revision")?)?;
    let listed = row.flag("listed")?;
    Ok(Change { hash: hash(row.bytes("hash")?)?, revision, record: listed.then_some(record) })
}
