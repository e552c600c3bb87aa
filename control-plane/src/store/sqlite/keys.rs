//! Rows of `api_keys`: insert, find, list and the changes that take a revision.

use flamegate::api_key::{Environment, KeyHash};
use flamegate::record::Limit;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite};

use super::{Tx, changes};
use crate::error::Error;
use crate::keys::{Key, Status};

/// A key to be stored.
#[derive(Clone, Debug)]
pub struct NewKeyRow {
    /// `key_…`.
    pub id: String,
    /// SHA-256 of the key.
    pub hash: KeyHash,
    /// The workspace's row.
    pub workspace_seq: i64,
    /// Live or test.
    pub environment: Environment,
    /// For people.
    pub name: String,
    /// For people.
    pub hint: String,
    /// Own limits; `None` follows the workspace.
    pub limits: Option<Vec<Limit>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, for people.
    pub created_by: String,
    /// First moment at which it is refused.
    pub expires_at: Option<Timestamp>,
    /// The key that it replaces.
    pub rotated_from: Option<String>,
}

/// Which keys a list shows.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// Only of this workspace.
    pub workspace_seq: Option<i64>,
    /// Only of this environment.
    pub environment: Option<Environment>,
    /// Only in this state.
    pub status: Option<Status>,
    /// Only keys whose name, hint or id has this in it, without regard to (ASCII) case.
    pub search: Option<String>,
    /// Only keys made before the one with this `seq`.
    pub before: Option<i64>,
    /// How many of them to leave out.
    pub offset: u32,
}

/// How many keys there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// Accepted by the gateways.
    pub active: i64,
    /// Refused because someone said so.
    pub revoked: i64,
    /// Refused because their time is over.
    pub expired: i64,
}

const SELECT: &str =
    "SELECT k.seq, k.id, k.workspace_seq, k.created_by, k.environment, k.name, k.hint, k.limits, k.created_at, k.expires_at,
        k.revoked_at, k.rotated_from, k.rotated_to, k.revision, w.id AS workspace, w.slug, w.default_limits";

const FROM: &str = " FROM api_keys k JOIN workspaces w ON w.seq = k.workspace_seq";

/// Most rows in one statement: 12 values each, and SQLite takes 32,766 values.
const ROWS_PER_INSERT: usize = 1_000;

/// Stores new keys, each with the next revision.
pub async fn insert(tx: &mut Tx, keys: &[NewKeyRow]) -> Result<(), Error> {
    for chunk in keys.chunks(ROWS_PER_INSERT) {
        let mut revision = changes::take_revisions(tx, chunk.len() as u64).await?;
        let mut rows = Vec::with_capacity(chunk.len());
        for key in chunk {
            rows.push((key, key.limits.as_deref().map(limits_json).transpose()?, revision));
            revision += 1;
        }
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO api_keys (id, hash, workspace_seq, environment, name, hint, limits, created_at, created_by,
                 expires_at, rotated_from, revision) ",
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
                .push_bind(key.expires_at.map(Timestamp::as_second))
                .push_bind(&key.rotated_from)
                .push_bind(revision);
        });
        sql.build().execute(&mut *tx).await?;
    }
    Ok(())
}

/// The key with this id.
pub async fn find(tx: &mut Tx, id: &str) -> Result<Option<Key>, Error> {
    let sql = format!("{SELECT}{FROM} WHERE k.id = ?");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(tx).await?;
    row.as_ref().map(key).transpose()
}

/// The ids of those of `hashes` that are stored already.
pub async fn ids_of(tx: &mut Tx, hashes: &[KeyHash]) -> Result<Vec<(KeyHash, String)>, Error> {
    let mut found = Vec::new();
    for chunk in hashes.chunks(ROWS_PER_INSERT) {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT hash, id FROM api_keys WHERE hash IN (");
        let mut list = sql.separated(", ");
        for hash in chunk {
            list.push_bind(hash.0.to_vec());
        }
        sql.push(")");
        for row in sql.build().fetch_all(&mut *tx).await? {
            found.push((hash(row.try_get("hash")?)?, row.try_get("id")?));
        }
    }
    Ok(found)
}

/// Keys, newest first.
pub async fn list(tx: &mut Tx, filter: &KeyFilter, now: Timestamp, limit: u32) -> Result<Vec<Key>, Error> {
    let mut sql = QueryBuilder::<Sqlite>::new(SELECT);
    restrict(&mut sql, filter, now);
    sql.push(" ORDER BY k.seq DESC LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(filter.offset);
    sql.build().fetch_all(tx).await?.iter().map(key).collect()
}

/// How many keys the filter leaves.
pub async fn count(tx: &mut Tx, filter: &KeyFilter, now: Timestamp) -> Result<u64, Error> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT count(*)");
    restrict(&mut sql, filter, now);
    unsigned(sql.build_query_scalar().fetch_one(tx).await?)
}

fn restrict(sql: &mut QueryBuilder<Sqlite>, filter: &KeyFilter, now: Timestamp) {
    sql.push(FROM).push(" WHERE k.seq < ").push_bind(filter.before.unwrap_or(i64::MAX));
    if let Some(seq) = filter.workspace_seq {
        sql.push(" AND k.workspace_seq = ").push_bind(seq);
    }
    if let Some(environment) = filter.environment {
        sql.push(" AND k.environment = ").push_bind(environment.as_str());
    }
    if let Some(text) = &filter.search {
        // instr over lower-cased text, not LIKE: nothing in what people type is special.
        sql.push(" AND instr(lower(k.name || char(10) || k.hint || char(10) || k.id), lower(");
        sql.push_bind(text.clone()).push(")) > 0");
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
            sql.push(" AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ");
            sql.push_bind(now.as_second()).push(")");
        }
    }
}

/// Gives the key another name; gateways do not see it, so there is no revision.
pub async fn rename(tx: &mut Tx, seq: i64, name: &str) -> Result<(), Error> {
    sqlx::query("UPDATE api_keys SET name = ? WHERE seq = ?").bind(name).bind(seq).execute(tx).await?;
    Ok(())
}

/// Notes which key replaces this one.
pub async fn set_rotated_to(tx: &mut Tx, seq: i64, id: &str) -> Result<(), Error> {
    sqlx::query("UPDATE api_keys SET rotated_to = ? WHERE seq = ?").bind(id).bind(seq).execute(tx).await?;
    Ok(())
}

/// Changes when the key expires. A key that had expired and was taken off the gateways comes back.
pub async fn set_expiry(tx: &mut Tx, seq: i64, expires_at: Option<Timestamp>) -> Result<(), Error> {
    let revision = changes::take_revisions(tx, 1).await?;
    sqlx::query("UPDATE api_keys SET expires_at = ?, listed = 1, revision = ? WHERE seq = ?")
        .bind(expires_at.map(Timestamp::as_second))
        .bind(revision)
        .bind(seq)
        .execute(tx)
        .await?;
    Ok(())
}

/// Changes the key's own limits; `None` follows the workspace again.
pub async fn set_limits(tx: &mut Tx, seq: i64, limits: Option<&[Limit]>) -> Result<(), Error> {
    let revision = changes::take_revisions(tx, 1).await?;
    sqlx::query("UPDATE api_keys SET limits = ?, revision = ? WHERE seq = ?")
        .bind(limits.map(limits_json).transpose()?)
        .bind(revision)
        .bind(seq)
        .execute(tx)
        .await?;
    Ok(())
}

/// Takes the key out of the gateways' table for good.
pub async fn revoke(tx: &mut Tx, seq: i64, now: Timestamp) -> Result<(), Error> {
    let revision = changes::take_revisions(tx, 1).await?;
    sqlx::query("UPDATE api_keys SET revoked_at = ?, listed = 0, revision = ? WHERE seq = ?")
        .bind(now.as_millisecond())
        .bind(revision)
        .bind(seq)
        .execute(tx)
        .await?;
    Ok(())
}

/// Takes expired keys off the gateways' table, at most `limit` at once; returns how many there were.
pub async fn remove_expired(tx: &mut Tx, now: Timestamp, limit: u32) -> Result<u64, Error> {
    let expired: Vec<i64> = sqlx::query_scalar(
        "SELECT seq FROM api_keys WHERE listed = 1 AND expires_at IS NOT NULL AND expires_at <= ?
         ORDER BY expires_at LIMIT ?",
    )
    .bind(now.as_second())
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    let mut revision = changes::take_revisions(tx, expired.len() as u64).await?;
    for seq in &expired {
        sqlx::query("UPDATE api_keys SET listed = 0, revision = ? WHERE seq = ?")
            .bind(revision)
            .bind(seq)
            .execute(&mut *tx)
            .await?;
        revision += 1;
    }
    Ok(expired.len() as u64)
}

/// Counts keys by state.
pub async fn counts(tx: &mut Tx, now: Timestamp) -> Result<KeyCounts, Error> {
    let row = sqlx::query(
        "SELECT count(*) AS total, count(revoked_at) AS revoked,
             count(*) FILTER (WHERE revoked_at IS NULL AND expires_at <= ?) AS expired FROM api_keys",
    )
    .bind(now.as_second())
    .fetch_one(tx)
    .await?;
    let (total, revoked, expired): (i64, i64, i64) =
        (row.try_get("total")?, row.try_get("revoked")?, row.try_get("expired")?);
    Ok(KeyCounts { active: total - revoked - expired, revoked, expired })
}

fn key(row: &SqliteRow) -> Result<Key, Error> {
    let seconds: Option<i64> = row.try_get("expires_at")?;
    let revoked: Option<i64> = row.try_get("revoked_at")?;
    let own: Option<String> = row.try_get("limits")?;
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
        own_limits: own.map(limits).transpose()?,
        default_limits: limits(row.try_get("default_limits")?)?,
        created_at: timestamp(row.try_get("created_at")?)?,
        expires_at: seconds.map(Timestamp::from_second).transpose().map_err(Error::internal)?,
        revoked_at: revoked.map(timestamp).transpose()?,
        rotated_from: row.try_get("rotated_from")?,
        rotated_to: row.try_get("rotated_to")?,
        revision: revision.map(unsigned).transpose()?,
    })
}

pub(super) fn hash(bytes: Vec<u8>) -> Result<KeyHash, Error> {
    bytes.try_into().map(KeyHash).map_err(|_| Error::internal("a stored hash is not 32 bytes long"))
}

pub(super) fn environment(text: String) -> Result<Environment, Error> {
    match text.as_str() {
        "live" => Ok(Environment::Live),
        "test" => Ok(Environment::Test),
        _ => Err(Error::internal("a stored environment is not live or test")),
    }
}

pub(super) fn limits(json: String) -> Result<Vec<Limit>, Error> {
    serde_json::from_str(&json).map_err(Error::internal)
}

pub(super) fn limits_json(limits: &[Limit]) -> Result<String, Error> {
    serde_json::to_string(limits).map_err(Error::internal)
}

pub(super) fn timestamp(milliseconds: i64) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(milliseconds).map_err(Error::internal)
}

pub(super) fn unsigned(value: i64) -> Result<u64, Error> {
    u64::try_from(value).map_err(Error::internal)
}
