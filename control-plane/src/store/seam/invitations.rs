//! Invitations into workspaces, by the hash of what is in the link.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::error::Error;
use crate::domain::users::Invitation;

/// Reading.
#[async_trait]
pub trait ReadInvitations: Send {
    /// The invitation of this link, while it is good.
    async fn find_invitation(&mut self, hash: [u8; 32], now: Timestamp) -> Result<Option<Invitation>, Error>;

    /// Those of a workspace that are good, oldest first; at most `limit`.
    async fn list_invitations(
        &mut self,
        workspace_seq: i64,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Invitation>, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteInvitations: ReadInvitations {
    /// Stores a new one.
    async fn insert_invitation(&mut self, invitation: &Invitation, hash: [u8; 32]) -> Result<(), Error>;

    /// Ends one of a workspace; false when there is none.
    async fn delete_invitation(&mut self, workspace_seq: i64, id: &str) -> Result<bool, Error>;

    /// Ends all that somebody has made.
    async fn delete_invitations_by(&mut self, created_by: &str) -> Result<(), Error>;

    /// Deletes what is good no longer.
    async fn forget_expired_invitations(&mut self, now: Timestamp) -> Result<(), Error>;
}
