//! The revision log: epochs, revisions, the pages that gateways get, and compaction.
//!
//! The log is the key table itself: each row carries the revision of its last change, so it is compact by nature, a
//! difference is a range of one index, and the whole table in order of hashes is a range of another. Removed keys stay
//! in the log until newer removals push them below the floor.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::tags;
use super::values::{enforced, environment, hash, limits, signed, unsigned};
use crate::contract::{KeyHash, KeyRecord};
use crate::domain::error::Error;
use crate::domain::log::{Change, Head, Page, RESTORED_EPOCH, Since};
use crate::domain::random;
use crate::store::seam::log::{ReadLog, WriteLog};

const RECORD: &str = "SELECT k.hash, k.id, w.id AS workspace, k.environment, k.expires_at, k.listed,
        COALESCE(k.revision, 0) AS revision, COALESCE(k.limits, w.default_limits) AS limits,
        w.ceiling, w.workspace_limits
    FROM api_keys k JOIN workspaces w ON w.seq = k.workspace_seq";

#[async_trait]
impl ReadLog for SqliteConnection {
    async fn changes_since(&mut self, after: u64, tag: Option<&str>, limit: u32) -> Result<Since, Error> {
        let mut tx = sqlx::Connection::begin(self).await?;
        let head = tags::head(&mut tx).await?;
        if after > head.revision {
            return Ok(Since::Unknown);
        }
        // First: below the floor there are no tags any more that could tell another history.
        if after < floor(&mut tx).await? {
            return Ok(Since::TooOld);
        }
        let base_tag = tags::of(&mut tx, after).await?.unwrap_or_default();
        if tag.is_some_and(|tag| tag != base_tag) {
            return Ok(Since::Unknown);
        }
        let sql = format!("{RECORD} WHERE k.revision > ? ORDER BY k.revision LIMIT ?");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(signed(after)?).bind(i64::from(limit) + 1);
        let rows = query.fetch_all(&mut *tx).await?;
        let mut page = page(head, &rows, limit)?;
        // With more to come, the gateway is only as far as the last change that it got.
        if let Some(last) = page.changes.last().filter(|_| page.more) {
            page.revision = last.revision;
            page.tag = tags::of(&mut tx, page.revision).await?.unwrap_or_default();
        }
        tx.commit().await?;
        Ok(Since::Changes { page, base_tag })
    }

    async fn part_of_table(&mut self, cursor: Option<KeyHash>, limit: u32) -> Result<Page, Error> {
        let mut tx = sqlx::Connection::begin(self).await?;
        let head = tags::head(&mut tx).await?;
        let sql = format!("{RECORD} WHERE k.listed = 1 AND k.hash > ? ORDER BY k.hash LIMIT ?");
        let from = cursor.map(|hash| hash.0.to_vec()).unwrap_or_default();
        let rows =
            sqlx::query(AssertSqlSafe(sql)).bind(from).bind(i64::from(limit) + 1).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        page(head, &rows, limit)
    }
}

#[async_trait]
impl WriteLog for SqliteConnection {
    async fn touch(&mut self) -> Result<(), Error> {
        sqlx::query("UPDATE revision_log SET revision = revision").execute(self).await?;
        Ok(())
    }

    async fn compact_log(&mut self, keep: u32) -> Result<Option<u64>, Error> {
        let newest: Option<i64> = sqlx::query_scalar(
            "SELECT revision FROM api_keys WHERE listed = 0 AND revision IS NOT NULL ORDER BY revision DESC LIMIT 1 OFFSET ?",
        )
        .bind(i64::from(keep))
        .fetch_optional(&mut *self)
        .await?;
        let Some(newest) = newest else { return Ok(None) };
        sqlx::query("UPDATE api_keys SET revision = NULL WHERE listed = 0 AND revision <= ?")
            .bind(newest)
            .execute(&mut *self)
            .await?;
        sqlx::query("UPDATE revision_log SET floor = ?").bind(newest).execute(self).await?;
        unsigned(newest).map(Some)
    }

    async fn prune_tags(&mut self, keep: u32) -> Result<(), Error> {
        sqlx::query(
            "DELETE FROM revision_tags WHERE revision < (SELECT floor FROM revision_log)
             OR revision <= (SELECT revision FROM revision_tags ORDER BY revision DESC LIMIT 1 OFFSET ?)",
        )
        .bind(i64::from(keep))
        .execute(self)
        .await?;
        Ok(())
    }
}

/// Makes the log of a new database.
pub(super) async fn ensure_epoch(tx: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::query("INSERT INTO revision_log (only_row, epoch, revision, floor) VALUES (1, ?, 0, 0) ON CONFLICT DO NOTHING")
        .bind(random::id("e_")?)
        .execute(tx)
        .await?;
    Ok(())
}

/// Begins a new history with what was restored: every gateway will fetch the whole table. The revision goes on, so it never goes back.
pub(super) async fn new_epoch(tx: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::query("UPDATE revision_log SET epoch = ?, revision = revision + 1")
        .bind(random::id(RESTORED_EPOCH)?)
        .execute(tx)
        .await?;
    Ok(())
}

/// The newest revision that was compacted away.
pub(super) async fn floor(tx: &mut SqliteConnection) -> Result<u64, Error> {
    unsigned(sqlx::query_scalar("SELECT floor FROM revision_log").fetch_one(tx).await?)
}

/// Takes the next `count` revisions and returns the first of them.
pub(super) async fn take_revisions(tx: &mut SqliteConnection, count: u64) -> Result<i64, Error> {
    let count = i64::try_from(count).map_err(Error::internal)?;
    let last: i64 = sqlx::query_scalar("UPDATE revision_log SET revision = revision + ? RETURNING revision")
        .bind(count)
        .fetch_one(tx)
        .await?;
    Ok(last - count + 1)
}

fn page(head: Head, rows: &[SqliteRow], limit: u32) -> Result<Page, Error> {
    let limit = usize::try_from(limit).map_err(Error::internal)?;
    let changes = rows.iter().take(limit).map(change).collect::<Result<_, _>>()?;
    let (revision, tag) = (head.revision, head.tag.clone());
    Ok(Page { head, revision, tag, changes, more: rows.len() > limit })
}

fn change(row: &SqliteRow) -> Result<Change, Error> {
    let listed: bool = row.try_get("listed")?;
    let expires_at: Option<i64> = row.try_get("expires_at")?;
    let record = KeyRecord {
        id: row.try_get("id")?,
        workspace: row.try_get("workspace")?,
        environment: environment(row.try_get("environment")?)?,
        expires_at: expires_at.map(unsigned).transpose()?,
        limits: enforced(row, limits(row.try_get("limits")?)?)?,
    };
    let revision = unsigned(row.try_get("revision")?)?;
    Ok(Change { hash: hash(row.try_get("hash")?)?, revision, record: listed.then_some(record) })
}
