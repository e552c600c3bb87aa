//! Rows of `idempotency_keys`. Checked and written in the transaction that makes the key, so that of two requests with
//! the same Idempotency-Key at the same time exactly one makes a key.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::domain::error::Error;
use crate::domain::keys::{Earlier, RETENTION};
use crate::store::seam::idempotency::{ReadRequests, WriteRequests};

#[async_trait]
impl ReadRequests for SqliteConnection {
    async fn find_earlier(
        &mut self,
        idempotency_key: &str,
        now: Timestamp,
    ) -> Result<Option<Earlier>, Error> {
        let row = sqlx::query(
            "SELECT fingerprint, api_key_id FROM idempotency_keys WHERE idempotency_key = ? AND created_at > ?",
        )
        .bind(idempotency_key)
        .bind(oldest(now))
        .fetch_optional(self)
        .await?;
        let earlier = |row: sqlx::sqlite::SqliteRow| {
            Ok(Earlier { fingerprint: row.try_get("fingerprint")?, api_key_id: row.try_get("api_key_id")? })
        };
        row.map(earlier).transpose()
    }
}

#[async_trait]
impl WriteRequests for SqliteConnection {
    async fn remember_request(
        &mut self,
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
        .execute(self)
        .await?;
        Ok(())
    }

    async fn forget_old_requests(&mut self, now: Timestamp) -> Result<(), Error> {
        sqlx::query("DELETE FROM idempotency_keys WHERE created_at <= ?")
            .bind(oldest(now))
            .execute(self)
            .await?;
        Ok(())
    }
}

fn oldest(now: Timestamp) -> i64 {
    now.as_millisecond() - i64::try_from(RETENTION.as_millis()).unwrap_or(i64::MAX)
}
