//! The revision log: what changed after a revision, the whole table in parts, and compaction.

use crate::contract::KeyHash;
use crate::domain::error::Error;
use crate::domain::log::{Page, Since};
use async_trait::async_trait;

/// Reading.
#[async_trait]
pub trait ReadLog: Send {
    /// The changes after a revision, oldest first, each hash once. Without a tag the revision alone is looked at.
    async fn changes_since(&mut self, after: u64, tag: Option<&str>, limit: u32) -> Result<Since, Error>;

    /// The active part of the whole table in order of hashes, from behind `cursor`.
    async fn part_of_table(&mut self, cursor: Option<KeyHash>, limit: u32) -> Result<Page, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteLog: ReadLog {
    /// Writes without changing anything, to see that writing works.
    async fn touch(&mut self) -> Result<(), Error>;

    /// Keeps the newest `keep` removals in the log and lifts the floor over the rest. Returns the new floor when it rose.
    async fn compact_log(&mut self, keep: u32) -> Result<Option<u64>, Error>;

    /// Forgets tags that no difference begins at any more, and the oldest beyond `keep`.
    async fn prune_tags(&mut self, keep: u32) -> Result<(), Error>;
}
