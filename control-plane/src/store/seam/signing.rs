//! Keys that control planes of one database sign with.

use async_trait::async_trait;

use crate::domain::error::Error;

/// Reading.
#[async_trait]
pub trait ReadSigningKeys: Send {
    /// The key of this name.
    async fn find_signing_key(&mut self, name: &str) -> Result<Option<[u8; 32]>, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteSigningKeys: ReadSigningKeys {
    /// Stores a key, unless there is one of this name.
    async fn insert_signing_key(&mut self, name: &str, key: [u8; 32]) -> Result<(), Error>;
}
