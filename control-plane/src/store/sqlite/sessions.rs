//! Rows of `sessions`: what the session library stores under the hash of the id in the cookie.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row as _;

use super::Tx;
use crate::error::Error;

/// A session as stored.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// SHA-256 of the id in the cookie.
    pub id_hash: [u8; 32],
    /// JSON object.
    pub data: String,
    /// First second at which it is over.
    pub expires_at: i64,
}

/// Expired sessions are deleted this much later, so that a clock that steps back does not lose live ones.
const KEPT_AFTER_EXPIRY: SignedDuration = SignedDuration::from_hours(1);

/// Stores a new session; false when the id is taken.
pub async fn insert(tx: &mut Tx, session: &SessionRow) -> Result<bool, Error> {
    let done = sqlx::query(
        "INSERT INTO sessions (id_hash, data, expires_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(session.id_hash.as_slice())
    .bind(&session.data)
    .bind(session.expires_at)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Stores what became of a session. One that was ended meanwhile stays ended.
pub async fn update(tx: &mut Tx, session: &SessionRow) -> Result<(), Error> {
    sqlx::query("UPDATE sessions SET data = ?, expires_at = ? WHERE id_hash = ?")
        .bind(&session.data)
        .bind(session.expires_at)
        .bind(session.id_hash.as_slice())
        .execute(tx)
        .await?;
    Ok(())
}

/// The session with this id, unless it is over.
pub async fn find(tx: &mut Tx, id_hash: [u8; 32], now: Timestamp) -> Result<Option<SessionRow>, Error> {
    let row = sqlx::query("SELECT data, expires_at FROM sessions WHERE id_hash = ? AND expires_at > ?")
        .bind(id_hash.as_slice())
        .bind(now.as_second())
        .fetch_optional(tx)
        .await?;
    let session = |row: sqlx::sqlite::SqliteRow| {
        Ok(SessionRow { id_hash, data: row.try_get("data")?, expires_at: row.try_get("expires_at")? })
    };
    row.map(session).transpose()
}

/// Ends a session.
pub async fn delete(tx: &mut Tx, id_hash: [u8; 32]) -> Result<(), Error> {
    sqlx::query("DELETE FROM sessions WHERE id_hash = ?").bind(id_hash.as_slice()).execute(tx).await?;
    Ok(())
}

/// Deletes what is long over.
pub async fn forget_expired(tx: &mut Tx, now: Timestamp) -> Result<(), Error> {
    let before = now.checked_sub(KEPT_AFTER_EXPIRY).map_err(Error::internal)?;
    sqlx::query("DELETE FROM sessions WHERE expires_at < ?").bind(before.as_second()).execute(tx).await?;
    Ok(())
}
