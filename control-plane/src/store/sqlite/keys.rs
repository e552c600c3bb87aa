//! Rows of `api_keys`: insert, find, list and the changes that take a revision.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite};

use super::values::{end, enforced, environment, hash, limits, limits_json, timestamp, unsigned};
use super::{changes, folded};
use crate::contract::{KeyHash, Limit};
use crate::domain::error::Error;
use crate::domain::fold::fold;
use crate::domain::keys::key::NewKey;
use crate::domain::keys::{End, Key, KeyCounts, KeyFilter, Status};
use crate::domain::lists::MOST_COUNTED;
use crate::store::seam::keys::{ReadKeys, WriteKeys};

const SELECT: &str =
    "SELECT k.seq, k.id, k.workspace_seq, k.created_by, k.environment, k.name, k.hint, k.limits, k.created_at, k.expires_at,
        k.revoked_at, k.rotated_from, k.rotated_to, k.revision, w.id AS workspace, w.slug, w.default_limits, w.ceiling,
        w.workspace_limits";

const FROM: &str = " FROM api_keys k JOIN workspaces w ON w.seq = k.workspace_seq";

/// Most rows in one statement: 13 values each, and SQLite takes 32,766 values.
const ROWS_PER_INSERT: usize = 1_000;

#[async_trait]
impl ReadKeys for SqliteConnection {
    async fn find_key(&mut self, id: &str) -> Result<Option<Key>, Error> {
        let sql = format!("{SELECT}{FROM} WHERE k.id = ?");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(self).await?;
        row.as_ref().map(key).transpose()
    }

    async fn keys_of_hashes(&mut self, hashes: &[KeyHash]) -> Result<Vec<(KeyHash, Key)>, Error> {
        let mut found = Vec::new();
        for chunk in hashes.chunks(ROWS_PER_INSERT) {
            let mut sql = QueryBuilder::<Sqlite>::new(SELECT);
            sql.push(", k.hash").push(FROM).push(" WHERE k.hash IN (");
            let mut list = sql.separated(", ");
            for hash in chunk {
                list.push_bind(hash.0.to_vec());
            }
            sql.push(")");
            for row in sql.build().fetch_all(&mut *self).await? {
                found.push((hash(row.try_get("hash")?)?, key(&row)?));
            }
        }
        Ok(found)
    }

    async fn list_keys(&mut self, filter: &KeyFilter, now: Timestamp, limit: u32) -> Result<Vec<Key>, Error> {
        let mut sql = QueryBuilder::<Sqlite>::new(SELECT);
        restrict(&mut sql, filter, now);
        sql.push(" ORDER BY k.seq DESC LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(filter.offset);
        sql.build().fetch_all(self).await?.iter().map(key).collect()
    }

    async fn count_keys(&mut self, filter: &KeyFilter, now: Timestamp) -> Result<u64, Error> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT count(*) FROM (SELECT 1");
        restrict(&mut sql, filter, now);
        sql.push(" LIMIT ").push_bind(MOST_COUNTED.saturating_add(1)).push(")");
        unsigned(sql.build_query_scalar().fetch_one(self).await?)
    }

    async fn key_counts(&mut self, now: Timestamp) -> Result<KeyCounts, Error> {
        let row = sqlx::query(
            "SELECT count(*) AS total, count(revoked_at) AS revoked,
                 count(*) FILTER (WHERE revoked_at IS NULL AND expires_at <= ?) AS expired FROM api_keys",
        )
        .bind(now.as_second())
        .fetch_one(self)
        .await?;
        let (total, revoked, expired): (i64, i64, i64) =
            (row.try_get("total")?, row.try_get("revoked")?, row.try_get("expired")?);
        Ok(KeyCounts { active: total - revoked - expired, revoked, expired })
    }
}

#[async_trait]
impl WriteKeys for SqliteConnection {
    async fn insert_keys(&mut self, keys: &[NewKey]) -> Result<(), Error> {
        for chunk in keys.chunks(ROWS_PER_INSERT) {
            let mut revision = changes::take_revisions(self, chunk.len() as u64).await?;
            let mut rows = Vec::with_capacity(chunk.len());
            for key in chunk {
                rows.push((key, key.limits.as_deref().map(limits_json).transpose()?, revision));
                revision += 1;
            }
            let mut sql = QueryBuilder::<Sqlite>::new(
                "INSERT INTO api_keys (id, hash, workspace_seq, environment, name, hint, limits, created_at, created_by,
                     expires_at, rotated_from, revision, folded) ",
            );
            sql.push_values(rows, |mut row, (key, limits, revision)| {
                row.push_bind(&key.id)
                    .push_bind(key.hash.0.to_vec())
                    .push_bind(key.workspace_seq)
                    .push_bind(key.environment.as_str())
                    .push_bind(&key.name)
                    .push_bind(&key.hint)
                    .push_bind(limits)
                    .push_bind(key.created_at.as_millisecond())
                    .push_bind(&key.created_by)
                    .push_bind(key.expires_at.map(End::second))
                    .push_bind(&key.rotated_from)
                    .push_bind(revision)
                    .push_bind(folded::text(&key.name, &key.hint, &key.id));
            });
            sql.build().execute(&mut *self).await?;
        }
        Ok(())
    }

    async fn rename_key(&mut self, key: &Key, name: &str) -> Result<(), Error> {
        sqlx::query("UPDATE api_keys SET name = ?, folded = ? WHERE seq = ?")
            .bind(name)
            .bind(folded::text(name, &key.hint, &key.id))
            .bind(key.seq)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn set_rotated_to(&mut self, seq: i64, id: &str) -> Result<(), Error> {
        sqlx::query("UPDATE api_keys SET rotated_to = ? WHERE seq = ?")
            .bind(id)
            .bind(seq)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn set_key_expiry(&mut self, seq: i64, expires_at: Option<End>) -> Result<(), Error> {
        let revision = changes::take_revisions(self, 1).await?;
        sqlx::query("UPDATE api_keys SET expires_at = ?, listed = 1, revision = ? WHERE seq = ?")
            .bind(expires_at.map(End::second))
            .bind(revision)
            .bind(seq)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn set_key_limits(&mut self, seq: i64, limits: Option<&[Limit]>) -> Result<(), Error> {
        let revision = changes::take_revisions(self, 1).await?;
        sqlx::query("UPDATE api_keys SET limits = ?, revision = ? WHERE seq = ?")
            .bind(limits.map(limits_json).transpose()?)
            .bind(revision)
            .bind(seq)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn revoke_key(&mut self, seq: i64, now: Timestamp) -> Result<(), Error> {
        let revision = changes::take_revisions(self, 1).await?;
        sqlx::query("UPDATE api_keys SET revoked_at = ?, listed = 0, revision = ? WHERE seq = ?")
            .bind(now.as_millisecond())
            .bind(revision)
            .bind(seq)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn list_by_clock(&mut self, listed: bool, now: Timestamp, limit: u32) -> Result<u64, Error> {
        let sql = if listed {
            "SELECT seq FROM api_keys WHERE listed = 0 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?) LIMIT ?"
        } else {
            "SELECT seq FROM api_keys WHERE listed = 1 AND expires_at IS NOT NULL AND expires_at <= ?
             ORDER BY expires_at LIMIT ?"
        };
        let found: Vec<i64> =
            sqlx::query_scalar(sql).bind(now.as_second()).bind(limit).fetch_all(&mut *self).await?;
        if found.is_empty() {
            return Ok(0);
        }
        let mut revision = changes::take_revisions(self, found.len() as u64).await?;
        for seq in &found {
            sqlx::query("UPDATE api_keys SET listed = ?, revision = ? WHERE seq = ?")
                .bind(listed)
                .bind(revision)
                .bind(seq)
                .execute(&mut *self)
                .await?;
            revision += 1;
        }
        Ok(found.len() as u64)
    }
}

fn restrict(sql: &mut QueryBuilder<Sqlite>, filter: &KeyFilter, now: Timestamp) {
    sql.push(FROM).push(" WHERE TRUE");
    if let Some(before) = filter.before {
        sql.push(" AND k.seq < ").push_bind(before);
    }
    if let Some(seq) = filter.workspace_seq {
        sql.push(" AND k.workspace_seq = ").push_bind(seq);
    }
    if let Some(environment) = filter.environment {
        sql.push(" AND k.environment = ").push_bind(environment.as_str());
    }
    if let Some(text) = &filter.search {
        // instr, not LIKE: nothing in what people type is special.
        sql.push(" AND instr(k.folded, ").push_bind(fold(text)).push(") > 0");
    }
    if let Some(hint) = &filter.hint {
        sql.push(" AND k.hint = ").push_bind(hint.clone());
    }
    match filter.status {
        None => {}
        Some(Status::Revoked) => {
            sql.push(" AND k.revoked_at IS NOT NULL");
        }
        Some(Status::Expired) => {
            sql.push(" AND k.revoked_at IS NULL AND k.expires_at <= ").push_bind(now.as_second());
        }
        Some(Status::Active) => {
            // What was revoked is not listed. So this is a range of `api_keys_active`, whatever else the workspace once had.
            sql.push(" AND k.listed = 1 AND (k.expires_at IS NULL OR k.expires_at > ");
            sql.push_bind(now.as_second()).push(")");
        }
    }
}

fn key(row: &SqliteRow) -> Result<Key, Error> {
    let seconds: Option<i64> = row.try_get("expires_at")?;
    let revoked: Option<i64> = row.try_get("revoked_at")?;
    let own = row.try_get::<Option<String>, _>("limits")?.map(limits).transpose()?;
    let base = own.clone().map_or_else(|| limits(row.try_get("default_limits")?), Ok)?;
    let revision: Option<i64> = row.try_get("revision")?;
    Ok(Key {
        seq: row.try_get("seq")?,
        id: row.try_get("id")?,
        workspace: row.try_get("workspace")?,
        workspace_seq: row.try_get("workspace_seq")?,
        created_by: row.try_get("created_by")?,
        workspace_slug: row.try_get("slug")?,
        environment: environment(row.try_get("environment")?)?,
        name: row.try_get("name")?,
        hint: row.try_get("hint")?,
        own_limits: own,
        limits: enforced(row, base)?,
        created_at: timestamp(row.try_get("created_at")?)?,
        expires_at: seconds.map(end).transpose()?,
        revoked_at: revoked.map(timestamp).transpose()?,
        rotated_from: row.try_get("rotated_from")?,
        rotated_to: row.try_get("rotated_to")?,
        revision: revision.map(unsigned).transpose()?,
    })
}
