//! Rows of `audit_log`. There is no statement here that changes or deletes one, and triggers refuse it anyway.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::values::{timestamp, unsigned};
use crate::domain::audit::{AuditFilter, Entry, NewEntry};
use crate::domain::error::Error;
use crate::domain::lists::MOST_COUNTED;
use crate::store::seam::audit::{ReadAudit, WriteAudit};

const FROM: &str = " FROM audit_log a LEFT JOIN workspaces w ON w.seq = a.workspace_seq WHERE a.seq < ";

#[async_trait]
impl ReadAudit for SqliteConnection {
    async fn list_entries(&mut self, filter: &AuditFilter, limit: u32) -> Result<Vec<Entry>, Error> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT a.*, w.id AS workspace, w.slug");
        restrict(&mut sql, filter);
        sql.push(" ORDER BY a.seq DESC LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(filter.offset);
        sql.build().fetch_all(self).await?.iter().map(entry).collect()
    }

    async fn count_entries(&mut self, filter: &AuditFilter) -> Result<u64, Error> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT count(*) FROM (SELECT 1");
        restrict(&mut sql, filter);
        sql.push(" LIMIT ").push_bind(MOST_COUNTED.saturating_add(1)).push(")");
        unsigned(sql.build_query_scalar().fetch_one(self).await?)
    }
}

#[async_trait]
impl WriteAudit for SqliteConnection {
    async fn append_entry(&mut self, entry: &NewEntry<'_>, now: Timestamp) -> Result<(), Error> {
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
        .execute(self)
        .await?;
        Ok(())
    }
}

fn restrict(sql: &mut QueryBuilder<Sqlite>, filter: &AuditFilter) {
    sql.push(FROM).push_bind(filter.before.unwrap_or(i64::MAX));
    if let Some(seq) = filter.workspace_seq {
        sql.push(" AND a.workspace_seq = ").push_bind(seq);
    }
    if let Some(action) = filter.action {
        sql.push(" AND a.action = ").push_bind(action.as_str());
    }
    if let Some(id) = &filter.target_id {
        sql.push(" AND a.target_id = ").push_bind(id.clone());
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
