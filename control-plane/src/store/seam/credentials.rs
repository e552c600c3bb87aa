//! Credentials of gateways; of each token there is only the hash.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::credentials::StoredCredential;
use crate::domain::error::Error;

/// Reading.
#[async_trait]
pub trait ReadCredentials: Send {
    /// All of them, revoked ones too, in order of their names.
    async fn list_credentials(&mut self) -> Result<Vec<StoredCredential>, Error>;

    /// The names and hashes of those that are good.
    async fn good_credentials(&mut self) -> Result<Vec<(String, [u8; 32])>, Error>;

    /// The one with this name.
    async fn find_credential(&mut self, name: &str) -> Result<Option<StoredCredential>, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteCredentials: ReadCredentials {
    /// Stores a new one.
    async fn insert_credential(&mut self, row: &StoredCredential, hash: &[u8; 32]) -> Result<(), Error>;

    /// Ends the one with this name.
    async fn revoke_credential(&mut self, name: &str, now: Timestamp) -> Result<(), Error>;
}
