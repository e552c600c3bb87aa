//! Rows of `sessions`: what the session library stores under the hash of the id in the cookie.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::domain::error::Error;
use crate::domain::sessions::StoredSession;
use crate::store::seam::sessions::{ReadSessions, WriteSessions};

/// Expired sessions are deleted this much later, so that a clock that steps back does not lose live ones.
const KEPT_AFTER_EXPIRY: SignedDuration = SignedDuration::from_hours(1);

#[async_trait]
impl ReadSessions for SqliteConnection {
    async fn find_session(
        &mut self,
        id_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<StoredSession>, Error> {
        let row = sqlx::query("SELECT data, expires_at FROM sessions WHERE id_hash = ? AND expires_at > ?")
            .bind(id_hash.as_slice())
            .bind(now.as_second())
            .fetch_optional(self)
            .await?;
        let session = |row: sqlx::sqlite::SqliteRow| {
            Ok(StoredSession { id_hash, data: row.try_get("data")?, expires_at: row.try_get("expires_at")? })
        };
        row.map(session).transpose()
    }
}

#[async_trait]
impl WriteSessions for SqliteConnection {
    async fn insert_session(&mut self, session: &StoredSession) -> Result<bool, Error> {
        let done = sqlx::query(
            "INSERT INTO sessions (id_hash, data, expires_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(session.id_hash.as_slice())
        .bind(&session.data)
        .bind(session.expires_at)
        .execute(self)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn update_session(&mut self, session: &StoredSession) -> Result<(), Error> {
        sqlx::query("UPDATE sessions SET data = ?, expires_at = ? WHERE id_hash = ?")
            .bind(&session.data)
            .bind(session.expires_at)
            .bind(session.id_hash.as_slice())
            .execute(self)
            .await?;
        Ok(())
    }

    async fn delete_session(&mut self, id_hash: [u8; 32]) -> Result<(), Error> {
        sqlx::query("DELETE FROM sessions WHERE id_hash = ?").bind(id_hash.as_slice()).execute(self).await?;
        Ok(())
    }

    async fn forget_expired_sessions(&mut self, now: Timestamp) -> Result<(), Error> {
        let before = now.checked_sub(KEPT_AFTER_EXPIRY).map_err(Error::internal)?;
        sqlx::query("DELETE FROM sessions WHERE expires_at < ?")
            .bind(before.as_second())
            .execute(self)
            .await?;
        Ok(())
    }
}
