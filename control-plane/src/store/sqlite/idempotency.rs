//! Rows of `idempotency_keys`. Checked and written in the transaction that makes the key, so that of two requests with
//! the same Idempotency-Key at the same time exactly one makes a key.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row as _;

use super::Tx;
use crate::error::Error;

/// How long an Idempotency-Key is remembered.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(24);

/// What was made under an Idempotency-Key before.
pub struct Earlier {
    /// SHA-256 of that request.
    pub fingerprint: Vec<u8>,
    /// The key that it made.
    pub api_key_id: String,
}

/// What was made under this Idempotency-Key within the last day.
pub async fn find(tx: &mut Tx, idempotency_key: &str, now: Timestamp) -> Result<Option<Earlier>, Error> {
    let row = sqlx::query(
        "SELECT fingerprint, api_key_id FROM idempotency_keys WHERE idempotency_key = ? AND created_at > ?",
    )
    .bind(idempotency_key)
    .bind(oldest(now))
    .fetch_optional(tx)
    .await?;
    let earlier = |row: sqlx::sqlite::SqliteRow| {
        Ok(Earlier { fingerprint: row.try_get("fingerprint")?, api_key_id: row.try_get("api_key_id")? })
    };
    row.map(earlier).transpose()
}

/// Remembers what was made, in place of anything older than a day.
pub async fn insert(
    tx: &mut Tx,
    idempotency_key: &str,
    fingerprint: &[u8],
    api_key_id: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO idempotency_keys (idempotency_key, fingerprint, api_key_id, created_at)
         VALUES (?, ?, ?, ?)",
    )
    .bind(idempotency_key)
    .bind(fingerprint)
    .bind(api_key_id)
    .bind(now.as_millisecond())
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets what is older than a day.
pub async fn forget_old(tx: &mut Tx, now: Timestamp) -> Result<(), Error> {
    sqlx::query("DELETE FROM idempotency_keys WHERE created_at <= ?").bind(oldest(now)).execute(tx).await?;
    Ok(())
}

fn oldest(now: Timestamp) -> i64 {
    now.as_millisecond() - i64::try_from(RETENTION.as_millis()).unwrap_or(i64::MAX)
}
