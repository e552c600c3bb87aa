//! How fast revocations were in force.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::error::Error;
use crate::domain::receipts::Measured;

/// Reading.
#[async_trait]
pub trait ReadReceipts: Send {
    /// How fast the revocation of a key was in force; `None` when nobody has measured it.
    async fn find_receipt(&mut self, key_seq: i64) -> Result<Option<Measured>, Error>;

    /// Those of a workspace that were measured since then, newest first, at most so many.
    async fn newest_receipts(
        &mut self,
        workspace_seq: i64,
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<Measured>, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteReceipts: ReadReceipts {
    /// Stores what was measured. A key has one, the first.
    async fn store_receipts(&mut self, measured: &[Measured]) -> Result<(), Error>;
}
