//! Tokens of operators; of each there is only the hash.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::error::Error;
use crate::domain::operators::OperatorToken;

/// Reading.
#[async_trait]
pub trait ReadOperators: Send {
    /// Tokens behind this one, oldest first, revoked and expired ones too.
    async fn list_tokens(&mut self, after: i64, limit: u32) -> Result<Vec<OperatorToken>, Error>;

    /// Those that are good at this time, and their hashes.
    async fn good_tokens(&mut self, now: Timestamp) -> Result<Vec<(OperatorToken, [u8; 32])>, Error>;

    /// The one with this name.
    async fn find_token(&mut self, name: &str) -> Result<Option<OperatorToken>, Error>;

    /// Id and name of each.
    async fn token_names(&mut self) -> Result<Vec<(String, String)>, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteOperators: ReadOperators {
    /// Stores a new one.
    async fn insert_token(&mut self, token: &OperatorToken, hash: &[u8; 32]) -> Result<(), Error>;

    /// Ends the one with this name.
    async fn revoke_token(&mut self, name: &str, now: Timestamp) -> Result<(), Error>;

    /// Notes when each of these ids was last used, which never goes back.
    async fn note_token_uses(&mut self, uses: &[(String, Timestamp)]) -> Result<(), Error>;
}
