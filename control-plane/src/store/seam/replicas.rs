//! What several control planes on one database say and hear there.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::domain::error::Error;
use crate::domain::replicas::{Publication, Published, Sight};

/// Reading.
#[async_trait]
pub trait ReadReplicas: Send {
    /// All replicas, and the rows of gateways that `me` does not keep: those that their keepers have written since the counts in `seen`
    /// (all of keepers that are not there), and those in `ids`. All as of one moment. With an empty `seen`, from the beginning: at most
    /// [`MOST_SEEN_AT_ONCE`](crate::domain::replicas::MOST_SEEN_AT_ONCE) that are not forgotten, those with a table first.
    async fn look(&mut self, me: &str, seen: &HashMap<String, u64>, ids: &[String]) -> Result<Sight, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteReplicas: ReadReplicas {
    /// Writes what a replica says, if its count is the next one and all revisions that it rests on are of this history.
    async fn publish(&mut self, publication: &Publication) -> Result<Published, Error>;

    /// A replica ends, and will write nothing more.
    async fn remove_replica(&mut self, id: &str) -> Result<(), Error>;

    /// Removes the rows of replicas that were not there for an hour, and of gateways that were forgotten before that; of those that never
    /// had a table, after a minute.
    async fn forget_dead_replicas(&mut self) -> Result<(), Error>;
}
