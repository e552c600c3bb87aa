//! Rows of `idempotency_keys`. Checked and written in the transaction that makes the key, so that of two requests with
//! the same Idempotency-Key at the same time exactly one makes a key.

use async_trait::async_trait;
use jiff::Timestamp;

use super::columns::Columns as _;
use super::statement::{Sql, Statement};
use crate::domain::error::Error;
use crate::domain::keys::{Earlier, RETENTION};
use crate::store::seam::idempotency::{ReadRequests, WriteRequests};

#[async_trait]
impl<S: Sql> ReadRequests for S {
    async fn find_earlier(
        &mut self,
        idempotency_key: &str,
        now: Timestamp,
    ) -> Result<Option<Earlier>, Error> {
        let sql = "SELECT fingerprint, api_key_id FROM idempotency_keys WHERE idempotency_key = $1 AND created_at > $2";
        let row = self.row(Statement::new(sql).bind(idempotency_key).bind(oldest(now))).await?;
        let earlier = |row: S::Row| {
            Ok(Earlier { fingerprint: row.bytes("fingerprint")?, api_key_id: row.text("api_key_id")? })
        };
        row.map(earlier).transpose()
    }
}

#[async_trait]
impl<S: Sql> WriteRequests for S {
    async fn remember_request(
        &mut self,
        idempotency_key: &str,
        fingerprint: &[u8],
        api_key_id: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let remember = Statement::new(
            "INSERT INTO idempotency_keys (idempotency_key, fingerprint, api_key_id, created_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (idempotency_key) DO UPDATE SET fingerprint = excluded.fingerprint,
                 api_key_id = excluded.api_key_id, created_at = excluded.created_at",
        )
        .bind(idempotency_key)
        .bind(fingerprint)
        .bind(api_key_id)
        .bind(now.as_millisecond());
        self.run(remember).await.map(drop)
    }

    async fn forget_old_requests(&mut self, now: Timestamp) -> Result<(), Error> {
        let forget = Statement::new("DELETE FROM idempotency_keys WHERE created_at <= $1").bind(oldest(now));
        self.run(forget).await.map(drop)
    }
}

fn oldest(now: Timestamp) -> i64 {
    now.as_millisecond() - i64::try_from(RETENTION.as_millis()).unwrap_or(i64::MAX)
}
