//! Rows of `audit_log`. There is no statement here that changes or deletes one, and triggers refuse it anyway.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::Tx;
use super::keys::{timestamp, unsigned};
use crate::audit::{AuditFilter, Entry, NewEntry};
use crate::error::Error;

const FROM: &str = " FROM audit_log a LEFT JOIN workspaces w ON w.seq = a.workspace_seq WHERE a.seq < ";

/// Appends an entry.
pub async fn insert(tx: &mut Tx, entry: &NewEntry<'_>, now: Timestamp) -> Result<(), Error> {
    let kind = if entry.by.user_id.is_some() { "user" } else { "admin_token" };
    sqlx::query(
        "INSERT INTO audit_log (at, workspace_seq, actor_kind, actor_id, actor, via, address, action, target_id, target,
             details)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(now.as_millisecond())
    .bind(entry.workspace_seq)
    .bind(kind)
    .bind(&entry.by.user_id)
    .bind(&entry.by.name)
    .bind(entry.by.via.as_str())
    .bind(entry.by.address.map(|address| address.to_string()))
    .bind(entry.action.as_str())
    .bind(entry.target_id)
    .bind(entry.target)
    .bind(entry.details.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

/// Entries, newest first.
pub async fn list(tx: &mut Tx, filter: &AuditFilter, limit: u32) -> Result<Vec<Entry>, Error> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT a.*, w.id AS workspace, w.slug");
    restrict(&mut sql, filter);
    sql.push(" ORDER BY a.seq DESC LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(filter.offset);
    sql.build().fetch_all(tx).await?.iter().map(entry).collect()
}

/// How many entries the filter leaves.
pub async fn count(tx: &mut Tx, filter: &AuditFilter) -> Result<u64, Error> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT count(*)");
    restrict(&mut sql, filter);
    unsigned(sql.build_query_scalar().fetch_one(tx).await?)
}

fn restrict(sql: &mut QueryBuilder<Sqlite>, filter: &AuditFilter) {
    sql.push(FROM).push_bind(filter.before.unwrap_or(i64::MAX));
    if let Some(seq) = filter.workspace_seq {
        sql.push(" AND a.workspace_seq = ").push_bind(seq);
    }
    if let Some(action) = filter.action {
        sql.push(" AND a.action = ").push_bind(action.as_str());
    }
}

fn entry(row: &SqliteRow) -> Result<Entry, Error> {
    let details: String = row.try_get("details")?;
    Ok(Entry {
        seq: row.try_get("seq")?,
        at: timestamp(row.try_get("at")?)?,
        workspace: row.try_get("workspace")?,
        workspace_slug: row.try_get("slug")?,
        actor_kind: row.try_get("actor_kind")?,
        actor_id: row.try_get("actor_id")?,
        actor: row.try_get("actor")?,
        via: row.try_get("via")?,
        address: row.try_get("address")?,
        action: row.try_get("action")?,
        target_id: row.try_get("target_id")?,
        target: row.try_get("target")?,
        details: serde_json::from_str(&details).map_err(Error::internal)?,
    })
}
