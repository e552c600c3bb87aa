//! The database: opening, migrating, the one writer of this replica and its readers.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::client::Client;
use super::connections::Connections;
use super::following::{self, CHANNEL};
use super::migrations::{self, Found};
use super::mode::Mode;
use super::server;
use crate::config::database::ServerAddress;
use crate::domain::error::Error;
use crate::domain::log::Head;
use crate::store::seam::engine::{Commit, Engine, Lent, Steps};
use crate::store::seam::heads::Heads;
use crate::store::seam::open::OpenError;
use crate::store::seam::purpose::Purpose;
use crate::store::sql::changes::ensure_epoch;
use crate::store::sql::folded;
use crate::store::sql::tags::seal;

/// An open database.
pub struct Postgres {
    writer: Arc<Connections>,
    notes: Arc<Connections>,
    /// For what replicas tell each other: strangers' attempts and counts of usage, which may wait for rows, are not to delay it.
    exchange: Arc<Connections>,
    readers: Readers,
    heads: Arc<Heads>,
    following: std::sync::Mutex<JoinSet<()>>,
}

/// Connections for reading.
struct Readers([Arc<Connections>; Purpose::ALL.len()]);

/// How many are noted at once.
const NOTES: usize = 2;

/// How many are read for at once.
const fn places(purpose: Purpose) -> usize {
    match purpose {
        Purpose::Api => 3,
        Purpose::Sync | Purpose::Pages | Purpose::Lists => 2,
        Purpose::Replicas | Purpose::Leases | Purpose::Metrics => 1,
    }
}

impl Postgres {
    /// Opens the database that is there, and migrates it.
    pub async fn open(address: &ServerAddress) -> Result<Self, OpenError> {
        let mut connection = look(address).await?;
        match migrations::find(&mut connection).await.map_err(migrations::unusable)? {
            Found::Ours => Self::prepare(address, connection).await,
            Found::Nothing => Err(OpenError::Missing(address.to_string())),
            Found::SomethingElse => Err(OpenError::Foreign(address.to_string())),
        }
    }

    /// The same, and makes one where there is nothing in the database.
    pub async fn open_or_make(address: &ServerAddress) -> Result<Self, OpenError> {
        let mut connection = look(address).await?;
        match migrations::find(&mut connection).await.map_err(migrations::unusable)? {
            Found::Ours | Found::Nothing => Self::prepare(address, connection).await,
            Found::SomethingElse => Err(OpenError::Foreign(address.to_string())),
        }
    }

    async fn prepare(address: &ServerAddress, mut connection: PgConnection) -> Result<Self, OpenError> {
        migrations::run(&mut connection).await?;
        let options = server::options(address)?;
        let kept = |most| Connections::new(options.clone(), !address.is_pooled(), most);
        let writer = kept(1);
        writer.keep(connection);
        let head = fill_in(&writer).await?;
        let (heads, now) = (Arc::new(Heads::followed(head)), Arc::new(Notify::new()));
        let mut following = JoinSet::new();
        following.spawn(following::poll(options.clone(), Arc::clone(&heads), Arc::clone(&now)));
        if let Some(direct) = server::direct_options(address)? {
            following.spawn(following::listen(direct, now));
        }
        let readers = Readers(Purpose::ALL.map(|purpose| kept(places(purpose))));
        let (notes, exchange) = (kept(NOTES), kept(1));
        Ok(Self { writer, notes, exchange, readers, heads, following: following.into() })
    }

    /// A transaction over everything, while nobody else writes.
    pub(in crate::store) async fn begin_copy(&self) -> Result<Client, Error> {
        let mut client = Client::new(&self.writer, Mode::Copy).await?;
        client.begin().await?;
        Ok(client)
    }
}

#[async_trait]
impl Engine for Postgres {
    async fn transact(&self, steps: Steps) -> Result<Commit, Error> {
        let mut client = Client::new(&self.writer, Mode::Write).await?;
        client.begin().await?;
        let begun = Instant::now();
        steps(&mut client).await?;
        let (head, took_revisions) = seal(&mut client).await?;
        let notice =
            if took_revisions { format!("SELECT pg_notify('{CHANNEL}', ''); ") } else { String::new() };
        client.end(&format!("{notice}COMMIT")).await?;
        let at = Instant::now();
        // Commits may be lost since the last one: what is published now is what is there now.
        self.heads.observe(&head, begun);
        Ok(Commit { head, at })
    }

    async fn note(&self, purpose: Purpose, steps: Steps) -> Result<(), Error> {
        let notes = if purpose == Purpose::Replicas { &self.exchange } else { &self.notes };
        let mut client = Client::new(notes, Mode::Note).await?;
        client.begin().await?;
        steps(&mut client).await?;
        client.end("COMMIT").await
    }

    async fn reader(&self, purpose: Purpose) -> Result<Box<dyn Lent>, Error> {
        Ok(Box::new(Client::new(self.readers.of(purpose), Mode::Read(purpose.longest())).await?))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn heads(&self) -> &Heads {
        &self.heads
    }

    async fn close(&self) {
        self.following.lock().unwrap_or_else(std::sync::PoisonError::into_inner).abort_all();
        for kept in [&self.writer, &self.notes, &self.exchange].into_iter().chain(&self.readers.0) {
            kept.close().await;
        }
    }
}

impl Readers {
    fn of(&self, purpose: Purpose) -> &Arc<Connections> {
        let [sync, replicas, leases, api, pages, lists, metrics] = &self.0;
        match purpose {
            Purpose::Sync => sync,
            Purpose::Replicas => replicas,
            Purpose::Leases => leases,
            Purpose::Api => api,
            Purpose::Pages => pages,
            Purpose::Lists => lists,
            Purpose::Metrics => metrics,
        }
    }
}

/// A connection to a server that we can use.
pub(super) async fn look(address: &ServerAddress) -> Result<PgConnection, OpenError> {
    let unusable = |error: Error| OpenError::Server(address.to_string(), error.into_cause());
    let mut connection = server::connect(&server::options(address)?).await.map_err(unusable)?;
    match server::flaw(&mut connection).await.map_err(unusable)? {
        None => Ok(connection),
        Some(flaw) => Err(OpenError::Server(address.to_string(), flaw.into())),
    }
}

/// Makes the log of a database that has just been migrated.
pub(super) async fn prepare_log(address: &ServerAddress) -> Result<Head, OpenError> {
    fill_in(&Connections::new(server::options(address)?, !address.is_pooled(), 1)).await
}

/// Does what migrations cannot, and makes the log where there is none.
async fn fill_in(writer: &Arc<Connections>) -> Result<Head, OpenError> {
    let filled = async {
        loop {
            let mut client = Client::new(writer, Mode::Write).await?;
            client.begin().await?;
            let more = folded::fill(&mut client).await?;
            ensure_epoch(&mut client).await?;
            let (head, _) = seal(&mut client).await?;
            client.end("COMMIT").await?;
            if !more {
                return Ok(head);
            }
        }
    };
    filled.await.map_err(OpenError::Log)
}
