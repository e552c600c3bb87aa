//! Sessions of the pages, by the hash of the id in the cookie.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::error::Error;
use crate::domain::sessions::StoredSession;

/// Reading.
#[async_trait]
pub trait ReadSessions: Send {
    /// The session with this id, unless it is over.
    async fn find_session(
        &mut self,
        id_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<StoredSession>, Error>;

    /// The sessions of a user that are not over, behind the first so many, at most this many, those that are over last first.
    async fn sessions_of(
        &mut self,
        user_id: &str,
        now: Timestamp,
        (offset, limit): (u32, u32),
    ) -> Result<Vec<StoredSession>, Error>;

    /// The user's session whose hash begins so, unless it is over.
    async fn session_of(
        &mut self,
        user_id: &str,
        now: Timestamp,
        hash_begins: &[u8],
    ) -> Result<Option<StoredSession>, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteSessions: ReadSessions {
    /// Stores a new session; false when the id is taken.
    async fn insert_session(&mut self, session: &StoredSession) -> Result<bool, Error>;

    /// Stores what became of a session. One that was ended meanwhile stays ended.
    async fn update_session(&mut self, session: &StoredSession) -> Result<(), Error>;

    /// Ends a session.
    async fn delete_session(&mut self, id_hash: [u8; 32]) -> Result<(), Error>;

    /// Deletes what is long over.
    async fn forget_expired_sessions(&mut self, now: Timestamp) -> Result<(), Error>;
}
