//! The services wired together, as the HTTP layer and the background tasks use them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore, watch};

use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::{Config, PagesConfig};
use crate::error::Error;
use crate::gateways::{Gateways, Receipt};
use crate::keys::Keys;
use crate::metrics::{Metrics, Reading};
use crate::store::{OpenError, Store};
use crate::sync::Sync;
use crate::tokens::TokenBook;
use crate::users::Users;
use crate::workspaces::Workspaces;

/// All services. Clones share them.
#[derive(Clone)]
pub struct App {
    /// API keys.
    pub keys: Keys,
    /// Workspaces.
    pub workspaces: Workspaces,
    /// People.
    pub users: Users,
    /// Who did what.
    pub audit: Audit,
    /// Pages for gateways.
    pub sync: Sync,
    /// Who enforces what.
    pub gateways: Gateways,
    /// Counters.
    pub metrics: Metrics,
    /// Time.
    pub clock: Clock,
    /// The database; the HTTP layer only asks it whether it is there.
    pub store: Store,
    /// Who may use `/v1` and `/sync/v1`.
    pub tokens: Arc<TokenBook>,
    /// How people reach the pages.
    pub pages: Arc<PagesConfig>,
    /// Requests for pages in progress are bounded by it.
    pub page_admission: Arc<Semaphore>,
    /// Requests to `/v1` in progress are bounded by it.
    pub admission: Arc<Semaphore>,
    /// Polls in progress are bounded by it, so that they leave connections to everybody else.
    pub poll_admission: Arc<Semaphore>,
    readiness: Arc<Mutex<Option<Readiness>>>,
    shutdown: watch::Sender<bool>,
}

/// What the last look at the database said.
struct Readiness {
    at: Instant,
    writable: bool,
}

/// Why a server could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The database cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Anything else.
    #[error("cannot start: {0}")]
    Other(Error),
}

/// Most requests to `/v1` at once; polls of gateways are not among them.
const MAX_ADMIN_REQUESTS: usize = 256;
/// Most requests for pages at once.
const MAX_PAGE_REQUESTS: usize = 256;
/// How long the answer about the database is good.
const READINESS_AGE: Duration = Duration::from_secs(1);

/// Nine tenths of the connections, and at least one.
const fn most_polls(connections: usize) -> usize {
    let most = connections - connections / 10;
    if most == 0 { 1 } else { most }
}

impl App {
    /// Opens the database and wires the services.
    pub async fn open(config: &Config, clock: Clock) -> Result<Self, BuildError> {
        let store = Store::open(&config.database).await?;
        let metrics = Metrics::new().map_err(BuildError::Other)?;
        let gateways = Gateways::load(&store, clock.clone()).await.map_err(BuildError::Other)?;
        let (shutdown, down) = watch::channel(false);
        Ok(Self {
            keys: Keys::new(store.clone(), clock.clone()),
            workspaces: Workspaces::new(store.clone(), clock.clone(), config.default_limits.clone()),
            users: Users::new(store.clone(), clock.clone()).map_err(BuildError::Other)?,
            audit: Audit::new(store.clone()),
            sync: Sync::new(store.clone(), gateways.clone(), metrics.clone(), down),
            gateways,
            metrics,
            clock,
            store,
            tokens: Arc::new(TokenBook::new(
                config.admin_tokens.clone(),
                config.sync_tokens.clone(),
                config.admin_limit.as_ref(),
            )),
            pages: Arc::new(config.pages.clone()),
            page_admission: Arc::new(Semaphore::new(MAX_PAGE_REQUESTS)),
            admission: Arc::new(Semaphore::new(MAX_ADMIN_REQUESTS)),
            poll_admission: Arc::new(Semaphore::new(most_polls(config.max_connections))),
            readiness: Arc::default(),
            shutdown,
        })
    }

    /// Lets go of everything that waits: polls and receipts are answered with what is known.
    pub fn begin_shutdown(&self) {
        self.shutdown.send_replace(true);
    }

    /// Turns true when the server goes down.
    pub fn shutdown(&self) -> watch::Receiver<bool> {
        self.shutdown.subscribe()
    }

    /// Who enforces a revision; see [`Gateways::receipt`].
    pub async fn receipt(&self, revision: u64, committed: Option<Instant>, wait: Duration) -> Receipt {
        let receipt = self.gateways.receipt(revision, committed, wait, self.shutdown()).await;
        self.metrics.receipt(&receipt);
        receipt
    }

    /// Whether the database can be written and the server is not going down. Anyone may ask, and looking costs a write,
    /// so it is done at most once per second.
    pub async fn is_ready(&self) -> bool {
        if *self.shutdown.borrow() {
            return false;
        }
        let mut last = self.readiness.lock().await;
        let now = self.clock.instant();
        if let Some(last) =
            last.as_ref().filter(|last| now.saturating_duration_since(last.at) < READINESS_AGE)
        {
            return last.writable;
        }
        let checked = self.store.check_writable().await;
        if let Err(error) = &checked {
            tracing::error!(cause = ?std::error::Error::source(error), "the database cannot be written");
        }
        *last = Some(Readiness { at: now, writable: checked.is_ok() });
        checked.is_ok()
    }

    /// The metrics as text.
    pub async fn metrics_text(&self) -> Result<Vec<u8>, Error> {
        let (gateways, polls) = self.gateways.counts();
        let (keys, revision) = (self.keys.counts().await?, self.store.head().revision);
        self.metrics.render(&Reading { keys, revision, gateways, polls })
    }
}
