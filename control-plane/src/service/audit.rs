//! Writing and reading the audit log. An entry is written in the transaction of the change that it tells of, so there is never one
//! without the other.

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::audit::{Action, Actor, AuditFilter, Entry, NewEntry, Target};
use crate::domain::error::Error;
use crate::domain::lists;
use crate::store::{Store, Tx};

/// The service.
#[derive(Clone)]
pub struct Audit {
    store: Store,
}

impl Actor {
    /// Writes that the actor did this, in the transaction of what they did.
    pub(crate) async fn did(
        &self,
        tx: &mut Tx,
        now: Timestamp,
        action: Action,
        on: Target<'_>,
        details: Value,
    ) -> Result<(), Error> {
        let Target { workspace_seq, id, name } = on;
        let entry = NewEntry { by: self, action, workspace_seq, target_id: id, target: name, details };
        tx.append_entry(&entry, now).await
    }
}

impl Audit {
    /// The service over a database.
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The same service, reading by the readers of another store.
    pub const fn over(&self, store: Store) -> Self {
        Self { store }
    }

    /// Entries, newest first, and where the next page begins.
    pub async fn list(&self, filter: &AuditFilter, limit: u32) -> Result<(Vec<Entry>, Option<i64>), Error> {
        let mut connection = self.store.read().await?;
        let found = connection.list_entries(filter, limit.saturating_add(1)).await?;
        Ok(lists::part(found, limit, |entry| entry.seq))
    }

    /// How many entries there are behind a filter, counted up to [`crate::domain::lists::MOST_COUNTED`] and one.
    pub async fn count(&self, filter: &AuditFilter) -> Result<u64, Error> {
        self.store.read().await?.count_entries(filter).await
    }
}
