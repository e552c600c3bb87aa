//! Connections that are kept for one purpose, at most so many. A connection that may be broken is never kept: it is closed, and what the
//! server was doing for it ends there. A hanging server so costs places for as long as a caller may wait, and nothing after that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::server;
use crate::domain::error::Error;

/// How long a caller waits for a place.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection that nobody needed for this long is closed.
const KEPT: Duration = Duration::from_secs(300);

/// The connections for one purpose.
pub(super) struct Connections {
    options: PgConnectOptions,
    /// Whether a statement may have a name, by which the next transaction on the same connection finds it parsed.
    named: bool,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<(PgConnection, Instant)>>,
}

/// A place: the right to one connection.
pub(super) struct Place {
    connections: Arc<Connections>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    /// None is made before it is needed.
    pub fn new(options: PgConnectOptions, named: bool, most: usize) -> Arc<Self> {
        Arc::new(Self { options, named, places: Arc::new(Semaphore::new(most)), idle: Mutex::default() })
    }

    /// A place, in order of arrival.
    pub async fn place(self: &Arc<Self>) -> Result<Place, Error> {
        let permit = timeout(PATIENCE, Arc::clone(&self.places).acquire_owned()).await;
        let permit = permit.map_err(|_| Error::Unavailable("the database is busy with others"))?;
        let permit = permit.map_err(|_| Error::internal("the database was closed"))?;
        Ok(Place { connections: Arc::clone(self), _permit: permit })
    }

    /// Closes what is idle; what is not ends with its place. Nobody gets a place any more.
    pub async fn close(&self) {
        self.places.close();
        for (connection, _) in self.take_all() {
            let _ = timeout(PATIENCE, sqlx::Connection::close(connection)).await;
        }
    }

    fn take_all(&self) -> Vec<(PgConnection, Instant)> {
        std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Place {
    /// Whether a statement may have a name.
    pub fn names_statements(&self) -> bool {
        self.connections.named
    }

    /// A connection that was used before, when there is one.
    pub fn used(&self) -> Option<PgConnection> {
        let mut idle = self.connections.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < KEPT);
        idle.pop().map(|(connection, _)| connection)
    }

    /// A new one. The others are as old as the one that was not good any more: none of them is used again.
    pub async fn new_one(&self) -> Result<PgConnection, Error> {
        drop(self.connections.take_all());
        server::connect(&self.connections.options).await
    }

    /// Keeps a connection on which no transaction is open.
    pub fn keep(&self, connection: PgConnection) {
        if !self.connections.places.is_closed() {
            let mut idle = self.connections.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push((connection, Instant::now()));
        }
    }
}
