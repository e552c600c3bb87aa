//! Rows of `audit_log`. There is no statement here that changes or deletes one, and triggers refuse it anyway.

use async_trait::async_trait;
use jiff::Timestamp;

use super::columns::Columns;
use super::statement::{Sql, Statement};
use super::values::{timestamp, unsigned};
use crate::domain::audit::{AuditFilter, Entry, NewEntry};
use crate::domain::error::Error;
use crate::domain::lists::MOST_COUNTED;
use crate::store::seam::audit::{ReadAudit, WriteAudit};

/// By name: a column that a later release adds would make the statement another one on connections that know it already.
const SELECT: &str = "SELECT a.seq, a.at, a.actor_kind, a.actor_id, a.actor, a.via, a.address, a.action, a.target_id, a.target, a.details,
        w.id AS workspace, w.slug";
/// Kind of all tokens: the table knows no other, and to change that would be to write every entry anew. Only those that have a name have
/// an id.
const TOKEN: &str = "admin_token";
const JOIN: &str = " a LEFT JOIN workspaces w ON w.seq = a.workspace_seq WHERE a.seq < ";

#[async_trait]
impl<S: Sql> ReadAudit for S {
    async fn list_entries(&mut self, filter: &AuditFilter, limit: u32) -> Result<Vec<Entry>, Error> {
        let mut sql = Statement::new(SELECT);
        restrict(&mut sql, filter);
        sql.push(" ORDER BY ").push(order(filter)).push(" LIMIT ").push_bind(limit);
        sql.push(" OFFSET ").push_bind(filter.offset);
        self.rows(sql).await?.iter().map(entry).collect()
    }

    async fn count_entries(&mut self, filter: &AuditFilter) -> Result<u64, Error> {
        let mut sql = Statement::new("SELECT count(*) AS n FROM (SELECT 1");
        restrict(&mut sql, filter);
        // In order, so that it is the index's rows that are counted and not whichever come first.
        sql.push(" ORDER BY ").push(order(filter)).push(" LIMIT ").push_bind(MOST_COUNTED.saturating_add(1));
        sql.push(") AS counted");
        unsigned(self.number(sql).await?)
    }
}

#[async_trait]
impl<S: Sql> WriteAudit for S {
    async fn append_entry(&mut self, entry: &NewEntry<'_>, now: Timestamp) -> Result<(), Error> {
        let kind = if entry.by.user_id.is_some() { "user" } else { TOKEN };
        let entry = Statement::new(
            "INSERT INTO audit_log (at, workspace_seq, actor_kind, actor_id, actor, via, address, action, target_id, target,
                 details)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(now.as_millisecond())
        .bind(entry.workspace_seq)
        .bind(kind)
        .bind(entry.by.user_id.as_ref().or(entry.by.token_id.as_ref()))
        .bind(&entry.by.name)
        .bind(entry.by.via.as_str())
        .bind(entry.by.address.map(|address| address.to_string()))
        .bind(entry.action.as_str())
        .bind(entry.target_id)
        .bind(entry.target)
        .bind(entry.details.to_string());
        self.run(entry).await.map(drop)
    }
}

fn restrict(sql: &mut Statement, filter: &AuditFilter) {
    let is_one_thing = filter.target_id.is_some();
    match (filter.look, filter.workspace_seq) {
        (Some(look), Some(seq)) if filter.action.is_some() && !is_one_thing => {
            sql.push(" FROM (SELECT * FROM audit_log a WHERE TRUE");
            of_workspace(sql, seq);
            sql.push(" ORDER BY ").push(order(filter)).push(" LIMIT ").push_bind(look).push(")");
        }
        _ => {
            sql.push(" FROM audit_log");
        }
    }
    sql.push(JOIN).push_bind(filter.before.unwrap_or(i64::MAX));
    if let Some(seq) = filter.workspace_seq {
        if is_one_thing {
            sql.push(" AND a.workspace_seq = ").push_bind(seq);
        } else {
            of_workspace(sql, seq);
        }
    }
    if let Some(action) = filter.action {
        sql.push(" AND a.action = ").push_bind(action.as_str());
    }
    if let Some(id) = &filter.target_id {
        sql.push(" AND a.target_id = ").push_bind(id.clone());
    }
}

/// From this workspace to this one, in the order of its index: a server that is asked for the order of `seq` alone may walk the entries of all
/// of them.
fn of_workspace(sql: &mut Statement, seq: i64) {
    sql.push(" AND a.workspace_seq >= ").push_bind(seq).push(" AND a.workspace_seq <= ").push_bind(seq);
}

const fn order(filter: &AuditFilter) -> &'static str {
    if filter.workspace_seq.is_some() && filter.target_id.is_none() {
        "a.workspace_seq DESC, a.seq DESC"
    } else {
        "a.seq DESC"
    }
}

fn entry(row: &impl Columns) -> Result<Entry, Error> {
    let (details, actor_id) = (row.text("details")?, row.maybe_text("actor_id")?);
    Ok(Entry {
        seq: row.number("seq")?,
        at: timestamp(row.number("at")?)?,
        workspace: row.maybe_text("workspace")?,
        workspace_slug: row.maybe_text("slug")?,
        actor_kind: match row.text("actor_kind")? {
            kind if kind == TOKEN && actor_id.is_some() => "token".to_owned(),
            kind => kind,
        },
        actor_id,
        actor: row.text("actor")?,
        via: row.text("via")?,
        address: row.maybe_text("address")?,
        action: row.text("action")?,
        target_id: row.maybe_text("target_id")?,
        target: row.text("target")?,
        details: serde_json::from_str(&details).map_err(Error::internal)?,
    })
}
