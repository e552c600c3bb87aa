//! What a database engine does for the store.

use std::time::Instant;

use async_trait::async_trait;

use super::heads::Heads;
use super::purpose::Purpose;
use super::tx::{Tx, View, Work};
use crate::domain::error::Error;
use crate::domain::log::Head;

/// All that a transaction does.
pub type Steps = Box<dyn for<'t> FnOnce(&'t mut Tx) -> Work<'t, ()> + Send>;

/// A database.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Runs the steps in a transaction of their own, one after the other with all others. When they succeed, revisions that they took
    /// get their tag, and the commit is durable and published before this returns. In every other case, a panic too, nothing is
    /// left of them.
    async fn transact(&self, steps: Steps) -> Result<Commit, Error>;

    /// Runs the steps in a transaction of their own beside all others. They take no revision, and rows that others may note at the same time
    /// they touch in one order everywhere. What was noted may be lost when the engine fails. What replicas tell each other waits for
    /// nothing else that is noted.
    async fn note(&self, _purpose: Purpose, steps: Steps) -> Result<(), Error> {
        self.transact(steps).await.map(drop)
    }

    /// A connection for reading, of those for this purpose, when there is one.
    async fn reader(&self, purpose: Purpose) -> Result<Box<dyn Lent>, Error>;

    /// Whether other control planes may have it open at the same time.
    fn is_shared(&self) -> bool {
        false
    }

    /// Where the log stands.
    fn heads(&self) -> &Heads;

    /// Lets go of the database; another process may open it.
    async fn close(&self);
}

/// A commit.
pub struct Commit {
    /// The log's head right after it.
    pub head: Head,
    /// When it was known to be durable.
    pub at: Instant,
}

/// A connection that was lent for reading; it goes back when it is dropped.
pub trait Lent: Send {
    /// What can be seen through it.
    fn view(&self) -> &View;
    /// The same, to ask.
    fn view_mut(&mut self) -> &mut View;
}
