//! The revision log: epochs, revisions, the pages that gateways get, and compaction.
//!
//! The log is the key table itself: each row carries the revision of its last change, so it is compact by nature, a
//! difference is a range of one index, and the whole table in order of hashes is a range of another. Removed keys stay
//! in the log until newer removals push them below the floor.

use flamegate::api_key::KeyHash;
use flamegate::record::KeyRecord;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::keys::{environment, hash, limits, unsigned};
use super::{Head, Tx};
use crate::error::Error;
use crate::random;

/// One line of a page: what became of a hash.
#[derive(Debug)]
pub struct Change {
    /// Which key.
    pub hash: KeyHash,
    /// At which revision; zero in a reset.
    pub revision: u64,
    /// What the key may do now; `None` when it is gone.
    pub record: Option<KeyRecord>,
}

/// A part of the log, read in one transaction.
#[derive(Debug)]
pub struct Page {
    /// Where the log stood when the page was read.
    pub head: Head,
    /// The changes, in order of revision or, in a reset, of hash.
    pub changes: Vec<Change>,
    /// True when there are more changes behind these.
    pub more: bool,
}

const RECORD: &str = "SELECT k.hash, k.id, w.id AS workspace, k.environment, k.expires_at, k.listed,
        COALESCE(k.revision, 0) AS revision, COALESCE(k.limits, w.default_limits) AS limits
    FROM api_keys k JOIN workspaces w ON w.seq = k.workspace_seq";

/// Makes the log of a new database; returns where the log stands.
pub async fn ensure_epoch(tx: &mut Tx) -> Result<Head, Error> {
    sqlx::query("INSERT INTO revision_log (only_row, epoch, revision, floor) VALUES (1, ?, 0, 0) ON CONFLICT DO NOTHING")
        .bind(random::id("e_")?)
        .execute(&mut *tx)
        .await?;
    head(tx).await
}

/// Begins a new history: every gateway will fetch the whole table. The revision goes on, so it never goes back.
pub async fn new_epoch(tx: &mut Tx) -> Result<(), Error> {
    sqlx::query("UPDATE revision_log SET epoch = ?, revision = revision + 1")
        .bind(random::id("e_")?)
        .execute(tx)
        .await?;
    Ok(())
}

/// Where the log stands.
pub async fn head(tx: &mut Tx) -> Result<Head, Error> {
    let row = sqlx::query("SELECT epoch, revision FROM revision_log").fetch_one(tx).await?;
    Ok(Head { epoch: row.try_get("epoch")?, revision: unsigned(row.try_get("revision")?)? })
}

/// The newest revision that was compacted away.
pub async fn floor(tx: &mut Tx) -> Result<u64, Error> {
    unsigned(sqlx::query_scalar("SELECT floor FROM revision_log").fetch_one(tx).await?)
}

/// Takes the next `count` revisions and returns the first of them.
pub async fn take_revisions(tx: &mut Tx, count: u64) -> Result<i64, Error> {
    let count = i64::try_from(count).map_err(Error::internal)?;
    let last: i64 = sqlx::query_scalar("UPDATE revision_log SET revision = revision + ? RETURNING revision")
        .bind(count)
        .fetch_one(tx)
        .await?;
    Ok(last - count + 1)
}

/// Writes without changing anything, to see that writing works.
pub async fn touch(tx: &mut Tx) -> Result<(), Error> {
    sqlx::query("UPDATE revision_log SET revision = revision").execute(tx).await?;
    Ok(())
}

/// The changes after a revision, oldest first, each hash once. `None` when the log does not reach back that far.
pub async fn since(connection: &mut Tx, after: u64, limit: u32) -> Result<Option<Page>, Error> {
    let mut tx = sqlx::Connection::begin(connection).await?;
    let head = head(&mut tx).await?;
    if after < floor(&mut tx).await? {
        return Ok(None);
    }
    let sql = format!("{RECORD} WHERE k.revision > ? ORDER BY k.revision LIMIT ?");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(signed(after)?).bind(i64::from(limit) + 1);
    let rows = query.fetch_all(&mut *tx).await?;
    tx.commit().await?;
    page(head, &rows, limit).map(Some)
}

/// The active part of the whole table in order of hashes, from behind `cursor`.
pub async fn table(connection: &mut Tx, cursor: Option<KeyHash>, limit: u32) -> Result<Page, Error> {
    let mut tx = sqlx::Connection::begin(connection).await?;
    let head = head(&mut tx).await?;
    let sql = format!("{RECORD} WHERE k.listed = 1 AND k.hash > ? ORDER BY k.hash LIMIT ?");
    let from = cursor.map(|hash| hash.0.to_vec()).unwrap_or_default();
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(from).bind(i64::from(limit) + 1).fetch_all(&mut *tx).await?;
    tx.commit().await?;
    page(head, &rows, limit)
}

/// Keeps the newest `keep` removals in the log and lifts the floor over the rest. Returns the new floor when it rose.
pub async fn compact(tx: &mut Tx, keep: u32) -> Result<Option<u64>, Error> {
    let newest: Option<i64> = sqlx::query_scalar(
        "SELECT revision FROM api_keys WHERE listed = 0 AND revision IS NOT NULL ORDER BY revision DESC LIMIT 1 OFFSET ?",
    )
    .bind(i64::from(keep))
    .fetch_optional(&mut *tx)
    .await?;
    let Some(newest) = newest else { return Ok(None) };
    sqlx::query("UPDATE api_keys SET revision = NULL WHERE listed = 0 AND revision <= ?")
        .bind(newest)
        .execute(&mut *tx)
        .await?;
    sqlx::query("UPDATE revision_log SET floor = ?").bind(newest).execute(tx).await?;
    unsigned(newest).map(Some)
}

fn page(head: Head, rows: &[SqliteRow], limit: u32) -> Result<Page, Error> {
    let limit = usize::try_from(limit).map_err(Error::internal)?;
    let changes = rows.iter().take(limit).map(change).collect::<Result<_, _>>()?;
    Ok(Page { head, changes, more: rows.len() > limit })
}

fn change(row: &SqliteRow) -> Result<Change, Error> {
    let listed: bool = row.try_get("listed")?;
    let expires_at: Option<i64> = row.try_get("expires_at")?;
    let record = KeyRecord {
        id: row.try_get("id")?,
        workspace: row.try_get("workspace")?,
        environment: environment(row.try_get("environment")?)?,
        expires_at: expires_at.map(unsigned).transpose()?,
        limits: limits(row.try_get("limits")?)?,
    };
    let revision = unsigned(row.try_get("revision")?)?;
    Ok(Change { hash: hash(row.try_get("hash")?)?, revision, record: listed.then_some(record) })
}

fn signed(value: u64) -> Result<i64, Error> {
    i64::try_from(value).map_err(Error::internal)
}
