//! Rows of `sessions`: what the session library stores under the hash of the id in the cookie.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::columns::Columns;
use super::statement::{Sql, Statement};
use crate::domain::error::Error;
use crate::domain::sessions::StoredSession;
use crate::store::seam::sessions::{ReadSessions, WriteSessions};

/// Expired sessions are deleted this much later, so that a clock that steps back does not lose live ones.
const KEPT_AFTER_EXPIRY: SignedDuration = SignedDuration::from_hours(1);

const SELECT: &str = "SELECT id_hash, user_id, data, expires_at FROM sessions";

#[async_trait]
impl<S: Sql> ReadSessions for S {
    async fn find_session(
        &mut self,
        id_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<StoredSession>, Error> {
        let find = Statement::new(format!("{SELECT} WHERE id_hash = $1 AND expires_at > $2"))
            .bind(id_hash.as_slice())
            .bind(now.as_second());
        self.row(find).await?.as_ref().map(session).transpose()
    }

    async fn sessions_of(
        &mut self,
        user_id: &str,
        now: Timestamp,
        (offset, limit): (u32, u32),
    ) -> Result<Vec<StoredSession>, Error> {
        let find = format!(
            "{SELECT} WHERE user_id = $1 AND expires_at > $2 ORDER BY expires_at DESC, id_hash LIMIT $3 OFFSET $4"
        );
        let find = Statement::new(find).bind(user_id).bind(now.as_second()).bind(limit).bind(offset);
        self.rows(find).await?.iter().map(session).collect()
    }

    async fn session_of(
        &mut self,
        user_id: &str,
        now: Timestamp,
        hash_begins: &[u8],
    ) -> Result<Option<StoredSession>, Error> {
        let find = format!(
            "{SELECT} WHERE user_id = $1 AND expires_at > $2 AND substr(id_hash, 1, {}) = $3",
            hash_begins.len()
        );
        let find = Statement::new(find).bind(user_id).bind(now.as_second()).bind(hash_begins);
        self.row(find).await?.as_ref().map(session).transpose()
    }
}

#[async_trait]
impl<S: Sql> WriteSessions for S {
    async fn insert_session(&mut self, session: &StoredSession) -> Result<bool, Error> {
        let insert = Statement::new(
            "INSERT INTO sessions (id_hash, user_id, data, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(session.id_hash.as_slice())
        .bind(&session.user_id)
        .bind(&session.data)
        .bind(session.expires_at);
        Ok(self.run(insert).await? == 1)
    }

    async fn update_session(&mut self, session: &StoredSession) -> Result<(), Error> {
        let update =
            Statement::new("UPDATE sessions SET data = $1, expires_at = $2, user_id = $3 WHERE id_hash = $4")
                .bind(&session.data)
                .bind(session.expires_at)
                .bind(&session.user_id)
                .bind(session.id_hash.as_slice());
        self.run(update).await.map(drop)
    }

    async fn delete_session(&mut self, id_hash: [u8; 32]) -> Result<(), Error> {
        let delete = Statement::new("DELETE FROM sessions WHERE id_hash = $1").bind(id_hash.as_slice());
        self.run(delete).await.map(drop)
    }

    async fn forget_expired_sessions(&mut self, now: Timestamp) -> Result<(), Error> {
        let before = now.checked_sub(KEPT_AFTER_EXPIRY).map_err(Error::internal)?;
        let forget = Statement::new("DELETE FROM sessions WHERE expires_at < $1").bind(before.as_second());
        self.run(forget).await.map(drop)
    }
}

fn session(row: &impl Columns) -> Result<StoredSession, Error> {
    let id_hash = row.bytes("id_hash")?.try_into().map_err(|_| Error::internal("a hash is not 32 bytes"))?;
    let (user_id, data) = (row.maybe_text("user_id")?, row.text("data")?);
    Ok(StoredSession { id_hash, user_id, data, expires_at: row.number("expires_at")? })
}
