//! The services wired together, as the HTTP layer and the background tasks use them.

pub(super) mod readings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore, watch};

use self::readings::{Counted, Readiness};
use super::admission::connections::{Connections, Shares, three_quarters};
use super::admission::person_limit::PersonLimit;
use super::admission::slots::Slots;
use super::admission::turns::Turns;
use crate::books::memory::Memory;
use crate::books::redis::Redis;
use crate::books::{Books, Rows};
use crate::config::{Config, PagesConfig};
use crate::domain::credentials::Credential;
use crate::domain::error::Error;
use crate::domain::gateways::Receipt;
use crate::domain::random;
use crate::service::audit::Audit;
use crate::service::clock::Clock;
use crate::service::credentials::Credentials;
use crate::service::explain::Explain;
use crate::service::gateways::Gateways;
use crate::service::housekeeping::Housekeeping;
use crate::service::keys::Keys;
use crate::service::keys::kept::Kept;
use crate::service::lending::Lending;
use crate::service::metrics::Metrics;
use crate::service::oidc::Oidc;
use crate::service::operators::Operators;
use crate::service::plans::Plans;
use crate::service::receipts::Receipts;
use crate::service::shadow::Shadow;
use crate::service::signer::Signer;
use crate::service::sync::Sync;
use crate::service::throttle::Throttle;
use crate::service::token_book::TokenBook;
use crate::service::usage::Usage;
use crate::service::users::Users;
use crate::service::workspaces::Workspaces;
use crate::store::{OpenError, Purpose, Store};

/// All services. Clones share them.
#[derive(Clone)]
pub struct App {
    /// API keys.
    pub keys: Keys,
    /// What forms have made a moment ago.
    pub kept: Kept,
    /// Workspaces.
    pub workspaces: Workspaces,
    /// Plans of keys and workspaces.
    pub plans: Plans,
    /// What has passed in shadow.
    pub shadow: Shadow,
    /// People.
    pub users: Users,
    /// Who did what.
    pub audit: Audit,
    /// What keys are used for.
    pub usage: Usage,
    /// What is known about one key.
    pub explain: Explain,
    /// Tokens of fleet limits.
    pub lending: Lending,
    /// Pages for gateways.
    pub sync: Sync,
    /// Who enforces what.
    pub gateways: Gateways,
    /// How fast revocations are in force.
    pub receipts: Receipts,
    /// Tokens of gateways that have a name.
    pub credentials: Credentials,
    /// Tokens of operators that have a name.
    pub operators: Operators,
    /// Signs what browsers keep for us.
    pub signer: Signer,
    /// Counters.
    pub metrics: Metrics,
    /// Time.
    pub clock: Clock,
    /// The database; the HTTP layer only asks it whether it is there.
    pub store: Store,
    /// Where the database is, as people may see it.
    pub database: Arc<str>,
    /// Whether nobody checks that its server, on another machine, is that.
    pub(super) is_unverified: bool,
    /// Who may use `/v1` and `/sync/v1`.
    pub tokens: Arc<TokenBook>,
    /// Signing in by a provider of identities, if there is one.
    pub oidc: Option<Oidc>,
    /// Gateways have to show a certificate.
    pub asks_for_certificates: bool,
    /// How fast each person may change things in the pages, and tokens of a workspace in theirs (under the negative of its row).
    pub people: Arc<PersonLimit>,
    /// How people reach the pages.
    pub pages: Arc<PagesConfig>,
    /// How long clients may take.
    pub patience: Patience,
    /// Who is connected.
    pub connections: Connections,
    /// Wrong tokens, by address.
    pub wrong_tokens: Throttle,
    /// Lists in the pages, by person.
    pub turns: Turns,
    /// Attempts to sign in are bounded by it, so that they wait for each other and no page for them.
    pub sign_in_admission: Arc<Semaphore>,
    /// Places beyond those, for addresses from which nobody has failed lately.
    pub first_sign_in_admission: Arc<Semaphore>,
    /// Places of people who have signed in on that browser before, by user.
    pub known_sign_ins: Arc<Slots<String>>,
    /// Sign-ins by a provider of identities, by network.
    pub provider_slots: Arc<Slots<u128>>,
    /// Who has failed lately.
    pub sign_in_failures: Throttle,
    /// Requests for pages in progress are bounded by it.
    pub page_admission: Arc<Semaphore>,
    /// Requests to `/v1` in progress are bounded by it.
    pub admission: Arc<Semaphore>,
    /// Of these, the requests with tokens of workspaces, by the workspace's id: tenants who wait for receipts leave room to operators, and
    /// one to another.
    pub workspace_admission: Arc<Slots<String>>,
    /// Polls in progress are bounded by it, so that they leave connections to everybody else.
    pub poll_slots: Arc<Slots<Credential>>,
    /// Posts of gateways in progress are bounded by it.
    pub post_slots: Arc<Slots<Credential>>,
    /// Calls of gateways for tokens in progress are bounded by it.
    pub lease_slots: Arc<Slots<Credential>>,
    /// Receipts that people in the pages wait for are bounded by it: each is looked at again with every acknowledgement.
    pub receipt_slots: Arc<Slots<i64>>,
    pub(super) readiness: Arc<Mutex<Option<Readiness>>>,
    pub(super) counted: Arc<Mutex<Option<Counted>>>,
    pub(super) shutdown: watch::Sender<bool>,
}

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a body.
    pub body: Duration,
    /// How late the answer to a wrong token comes when an address has sent too many.
    pub guess: Duration,
    /// How long the page of a revocation waits for gateways.
    pub receipt: Duration,
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
/// Most attempts to sign in at once. Their passwords are hashed one by one.
const MAX_SIGN_INS: usize = 16;
const MAX_FIRST_SIGN_INS: usize = 4;
const MAX_KNOWN_SIGN_INS: usize = 16;
const MAX_KNOWN_SIGN_INS_OF_USER: usize = 2;
/// Most requests to `/v1` at once with tokens of one workspace, and most of one workspace.
const MAX_WORKSPACE_REQUESTS: usize = 128;
const MAX_REQUESTS_OF_WORKSPACE: usize = 32;
/// Most steps of sign-ins by a provider of identities at once, and most of them from one network.
const MAX_PROVIDER_SIGN_INS: usize = 32;
const MAX_PROVIDER_SIGN_INS_OF_NETWORK: usize = 8;
/// Most posts of gateways at once; they are short.
const MAX_POSTS: usize = 128;
/// Most calls of gateways for tokens at once: one for each gateway, and they are short.
const MAX_LEASE_CALLS: usize = 512;
/// Most receipts that are waited for in pages, and most of one person.
const MAX_RECEIPTS: usize = 256;
const MAX_RECEIPTS_OF_PERSON: usize = 8;

/// Who keeps the books of fleet limits: the memory of this process, where no other control plane can have the database.
async fn books_of(config: &Config, store: &Store, clock: &Clock) -> Result<Option<Arc<dyn Books>>, Error> {
    if let Some(address) = &config.limit_store {
        let engine = Redis::new(address.clone(), {
            let store = store.clone();
            move || newest_rows(store.clone())
        });
        if let Err(why) = engine.check().await {
            tracing::error!(why, "the engine of fleet limits cannot be used");
        }
        return Ok(Some(Arc::new(engine)));
    }
    if store.is_shared() {
        return Ok(None);
    }
    let saved = store.write(|tx| Box::pin(async move { tx.take_books().await })).await?.value;
    let (clock, rows) = (clock.clone(), newest_rows(store.clone()).await);
    let mark = u32::try_from(random::mark()? & 0xffff_ffff).unwrap_or_default();
    Ok(Some(Arc::new(Memory::new(move || clock.instant(), saved.as_deref(), mark, rows))))
}

/// Which rows of the database are the newest. Without an answer nobody is younger.
async fn newest_rows(store: Store) -> Rows {
    let read = async || store.read().await?.newest_rows().await;
    let read = read().await;
    read.map_or(Rows::UNKNOWN, |(keys, workspaces)| Rows { keys, workspaces })
}

/// Nine tenths of the connections, and at least one.
const fn most_polls(connections: usize) -> usize {
    let most = connections - connections / 10;
    if most == 0 { 1 } else { most }
}

impl App {
    /// Opens the database and wires the services.
    pub async fn open(config: &Config, clock: Clock) -> Result<Self, BuildError> {
        let store = if config.init {
            Store::open_or_make(&config.database).await?
        } else {
            Store::open(&config.database).await?
        };
        let metrics = Metrics::new(config.metrics_per_key).map_err(BuildError::Other)?;
        let gateways = Gateways::load(&store, clock.clone()).await.map_err(BuildError::Other)?;
        let connections = Connections::new(Shares::of(config.max_connections, config.pages.trust_proxy));
        let doors = Arc::new(connections.clone());
        let credentials = Credentials::load(store.clone(), clock.clone(), gateways.clone(), doors.clone());
        let credentials = credentials.await.map_err(BuildError::Other)?;
        let operators =
            Operators::load(store.clone(), clock.clone(), doors).await.map_err(BuildError::Other)?;
        let books = books_of(config, &store, &clock).await.map_err(BuildError::Other)?;
        let counted = metrics.of_lending().map_err(BuildError::Other)?;
        let lending = Lending::new(&store, clock.clone(), books, counted);
        let signer = Signer::load(&store).await.map_err(BuildError::Other)?;
        let oidc = config.oidc.clone().map(|oidc| Oidc::new(oidc, signer.clone(), clock.clone()));
        let oidc = oidc.transpose().map_err(BuildError::Other)?;
        let (shutdown, down) = watch::channel(false);
        let known = (gateways.clone(), credentials.clone());
        let polls = most_polls(config.max_connections);
        Ok(Self {
            keys: Keys::new(store.clone(), clock.clone()).with_fleet_limits(lending.possible()),
            kept: Kept::new(clock.clone()),
            workspaces: Workspaces::new(store.clone(), clock.clone(), config.workspace_defaults())
                .with_fleet_limits(lending.possible()),
            users: Users::new(store.clone(), clock.clone(), config.pages.session_max)
                .map_err(BuildError::Other)?,
            plans: Plans::new(store.clone(), clock.clone()).with_fleet_limits(lending.possible()),
            shadow: Shadow::new(store.clone(), clock.clone(), gateways.clone()),
            audit: Audit::new(store.clone()),
            usage: Usage::new(store.clone(), clock.clone(), metrics.of_keys().cloned()),
            explain: Explain::new(store.clone(), clock.clone(), gateways.clone()),
            sync: Sync::new(store.reading_for(Purpose::Sync), known, metrics.clone(), clock.clone(), down)
                .replacing_tables(config.init),
            receipts: Receipts::new(store.clone(), clock.clone(), gateways.clone()),
            lending,
            gateways,
            credentials,
            operators,
            signer,
            metrics,
            wrong_tokens: Throttle::over(&store, clock.clone()),
            sign_in_failures: Throttle::over(&store, clock.clone()),
            store,
            database: config.database.to_string().into(),
            is_unverified: config.database.is_unverified(),
            tokens: Arc::new(TokenBook::new(
                config.admin_tokens.clone(),
                config.sync_tokens.clone(),
                config.metrics_tokens.clone(),
                config.admin_limit.as_ref(),
            )),
            oidc,
            asks_for_certificates: config.tls.as_ref().is_some_and(|files| files.client_ca.is_some()),
            people: Arc::new(PersonLimit::new(config.person_limit.as_ref())),
            pages: Arc::new(config.pages.clone()),
            patience: Patience {
                body: config.body_timeout,
                guess: config.guess_pause,
                receipt: config.receipt_wait,
            },
            connections,
            turns: Turns::default(),
            sign_in_admission: Arc::new(Semaphore::new(MAX_SIGN_INS)),
            first_sign_in_admission: Arc::new(Semaphore::new(MAX_FIRST_SIGN_INS)),
            known_sign_ins: Arc::new(Slots::new(MAX_KNOWN_SIGN_INS, MAX_KNOWN_SIGN_INS_OF_USER)),
            provider_slots: Arc::new(Slots::new(MAX_PROVIDER_SIGN_INS, MAX_PROVIDER_SIGN_INS_OF_NETWORK)),
            page_admission: Arc::new(Semaphore::new(MAX_PAGE_REQUESTS)),
            admission: Arc::new(Semaphore::new(MAX_ADMIN_REQUESTS)),
            workspace_admission: Arc::new(Slots::new(MAX_WORKSPACE_REQUESTS, MAX_REQUESTS_OF_WORKSPACE)),
            poll_slots: Arc::new(Slots::new(polls, three_quarters(polls))),
            post_slots: Arc::new(Slots::new(MAX_POSTS, three_quarters(MAX_POSTS))),
            lease_slots: Arc::new(Slots::new(MAX_LEASE_CALLS, three_quarters(MAX_LEASE_CALLS))),
            receipt_slots: Arc::new(Slots::new(MAX_RECEIPTS, MAX_RECEIPTS_OF_PERSON)),
            readiness: Arc::default(),
            counted: Arc::default(),
            shutdown,
            clock,
        })
    }

    /// The same services, reading by the readers of the pages.
    pub fn for_pages(&self) -> Self {
        self.reading_for(Purpose::Pages)
    }

    /// The same services, reading by the readers for this purpose.
    pub fn reading_for(&self, purpose: Purpose) -> Self {
        let store = self.store.reading_for(purpose);
        Self {
            keys: self.keys.over(store.clone()),
            workspaces: self.workspaces.over(store.clone()),
            users: self.users.over(store.clone()),
            audit: self.audit.over(store.clone()),
            usage: self.usage.over(store.clone()),
            shadow: self.shadow.over(store.clone()),
            receipts: self.receipts.over(store.clone()),
            credentials: self.credentials.over(store.clone()),
            operators: self.operators.over(store.clone()),
            plans: self.plans.over(store.clone()),
            store,
            ..self.clone()
        }
    }

    /// The database as lists in the pages read it.
    pub fn for_lists(&self) -> Store {
        self.store.reading_for(Purpose::Lists)
    }

    /// What looks after the database and the registry.
    pub fn housekeeping(&self, removals_kept: u32) -> Housekeeping {
        let (keys, gateways) = (self.keys.clone(), self.gateways.clone());
        Housekeeping {
            kept: self.kept.clone(),
            keys,
            gateways,
            usage: self.usage.clone(),
            operators: self.operators.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            removals_kept,
        }
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
}
