//! The audit log. Nothing here changes or deletes an entry.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::audit::{AuditFilter, Entry, NewEntry};
use crate::domain::error::Error;

/// Reading.
#[async_trait]
pub trait ReadAudit: Send {
    /// Entries, newest first.
    async fn list_entries(&mut self, filter: &AuditFilter, limit: u32) -> Result<Vec<Entry>, Error>;

    /// How many entries the filter leaves; [`crate::domain::lists::MOST_COUNTED`] and one when there are more.
    async fn count_entries(&mut self, filter: &AuditFilter) -> Result<u64, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteAudit: ReadAudit {
    /// Appends an entry.
    async fn append_entry(&mut self, entry: &NewEntry<'_>, now: Timestamp) -> Result<(), Error>;
}
