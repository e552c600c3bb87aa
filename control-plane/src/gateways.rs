//! Who enforces what: the gateways that poll, the revision that each has acknowledged, and the receipts made of that.
//!
//! The registry lives in memory, because acknowledgements are news that the next poll repeats anyway. The names of the
//! gateways are also stored, so that after a restart of the control plane a receipt does not say "all 0 gateways".
//!
//! A gateway is connected while it holds a poll, between two polls for as long as a live gateway may take, and, after
//! its connection broke, for as long as a live gateway may take to come back.

mod receipt;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

pub use self::receipt::{GatewayReceipt, Receipt};
use crate::clock::Clock;
use crate::error::Error;
use crate::store::{GatewayRow, Store, sqlite};

/// A gateway as people see it.
#[derive(Clone, Debug)]
pub struct GatewayView {
    /// The name that it gives itself; one per Envoy process.
    pub id: String,
    /// Its program's version, from `user-agent`.
    pub version: Option<String>,
    /// True when revocations are expected to reach it.
    pub connected: bool,
    /// The last revision that all its workers enforce; `None` while its table is empty or of another epoch.
    pub acknowledged: Option<u64>,
    /// When it acknowledged that.
    pub acknowledged_at: Option<Timestamp>,
    /// Its first poll.
    pub first_seen: Timestamp,
    /// Its last poll.
    pub last_seen: Timestamp,
}

/// What a poll says about its sender.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The gateway's name.
    pub gateway: String,
    /// Its program's version.
    pub version: Option<String>,
    /// How long it is ready to wait.
    pub wait: Duration,
    /// The revision that it enforces; `None` while it has no table of the current epoch.
    pub acknowledges: Option<u64>,
}

/// The registry. Clones share it.
#[derive(Clone)]
pub struct Gateways {
    inner: Arc<Inner>,
}

/// A poll in progress. Dropping it unfinished means that the gateway's connection broke.
pub struct Poll {
    inner: Arc<Inner>,
    gateway: String,
    finished: bool,
}

struct Inner {
    clock: Clock,
    gateways: Mutex<HashMap<String, Gateway>>,
    /// Changes with every acknowledgement; receipts wait on it.
    news: watch::Sender<u64>,
}

struct Gateway {
    version: Option<String>,
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// Polls in progress.
    held: u32,
    /// Until when it counts as connected without a poll in progress.
    expected_until: Instant,
    /// The newest acknowledgements, oldest first; empty while it has no table.
    acks: VecDeque<Ack>,
    /// True when the stored row is out of date.
    unsaved: bool,
}

#[derive(Clone, Copy)]
struct Ack {
    revision: u64,
    at: Instant,
    time: Timestamp,
}

/// How long a gateway whose connection broke is expected back: its longest back-off is 5 s, with jitter.
const RECONNECT: Duration = Duration::from_secs(15);
/// What a live gateway may take between two polls beyond twice its wait.
const MARGIN: Duration = Duration::from_secs(10);
/// Acknowledgements remembered per gateway, so that a receipt finds the first one that covers its revision.
const ACKS_KEPT: usize = 64;
/// A gateway that was not seen for this long is forgotten: Envoy processes come and go under new names.
const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// Most gateways remembered: a client that invents names must not fill the memory.
const MAX_GATEWAYS: usize = 10_000;

impl Gateways {
    /// An empty registry.
    pub fn new(clock: Clock) -> Self {
        let (news, _) = watch::channel(0);
        Self { inner: Arc::new(Inner { clock, gateways: Mutex::default(), news }) }
    }

    /// A registry that remembers the stored gateways. Those that were connected when they were stored are expected back.
    pub async fn load(store: &Store, clock: Clock) -> Result<Self, Error> {
        let this = Self::new(clock);
        let now = this.inner.clock.instant();
        let rows = sqlite::gateways::all(&mut *store.read().await?).await?;
        let mut gateways = this.inner.lock();
        for row in rows {
            let expected_until = if row.connected { now + RECONNECT } else { now };
            gateways
                .insert(row.id, Gateway::seen(row.version, row.first_seen, row.last_seen, expected_until));
        }
        drop(gateways);
        Ok(this)
    }

    /// Notes that a poll began, and what it acknowledges.
    pub fn begin(&self, hello: Hello) -> Result<Poll, Error> {
        let inner = &self.inner;
        let (now, time) = (inner.clock.instant(), inner.clock.now());
        let mut gateways = inner.lock();
        if gateways.len() >= MAX_GATEWAYS && !gateways.contains_key(&hello.gateway) {
            return Err(Error::Unavailable("too many gateways"));
        }
        let gateway =
            gateways.entry(hello.gateway.clone()).or_insert_with(|| Gateway::seen(None, time, time, now));
        gateway.version = hello.version;
        gateway.last_seen = time;
        gateway.held += 1;
        gateway.expected_until = now + hello.wait * 2 + MARGIN;
        gateway.unsaved = true;
        let news = gateway.acknowledge(hello.acknowledges, now, time);
        drop(gateways);
        if news {
            inner.news.send_modify(|count| *count += 1);
        }
        Ok(Poll { inner: Arc::clone(inner), gateway: hello.gateway, finished: false })
    }

    /// All gateways in order of their names.
    pub fn list(&self) -> Vec<GatewayView> {
        let now = self.inner.clock.instant();
        let mut views: Vec<_> = self
            .inner
            .lock()
            .iter()
            .map(|(id, gateway)| gateway.view(id, gateway.is_connected(now)))
            .collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    /// How many gateways are connected, and how many polls are held.
    pub fn counts(&self) -> (usize, u32) {
        let now = self.inner.clock.instant();
        let gateways = self.inner.lock();
        let connected = gateways.values().filter(|gateway| gateway.is_connected(now)).count();
        (connected, gateways.values().map(|gateway| gateway.held).sum())
    }

    /// Takes back every acknowledgement: they spoke of a history that is over.
    pub fn forget_acknowledgements(&self) {
        self.inner.lock().values_mut().for_each(|gateway| gateway.acks.clear());
    }

    /// Stores what changed since the last time and forgets who was not seen for a day.
    pub async fn save(&self, store: &Store) -> Result<(), Error> {
        let oldest = self.inner.clock.now().checked_sub(FORGET_AFTER).map_err(Error::internal)?;
        let (rows, forgotten) = self.take_unsaved(oldest);
        if rows.is_empty() && !forgotten {
            return Ok(());
        }
        let write = store.write(move |tx| {
            Box::pin(async move {
                sqlite::gateways::save(tx, &rows).await?;
                sqlite::gateways::forget_before(tx, oldest).await
            })
        });
        write.await.map(|_| ())
    }

    /// The rows to store, and whether any gateway was forgotten.
    fn take_unsaved(&self, oldest: Timestamp) -> (Vec<GatewayRow>, bool) {
        let now = self.inner.clock.instant();
        let mut gateways = self.inner.lock();
        let known = gateways.len();
        gateways.retain(|_, gateway| gateway.held > 0 || gateway.last_seen >= oldest);
        let (mut rows, forgotten) = (Vec::new(), gateways.len() < known);
        for (id, gateway) in gateways.iter_mut() {
            let connected = gateway.is_connected(now);
            // A gateway that went away is stored once more, as not connected.
            if std::mem::replace(&mut gateway.unsaved, connected) {
                let version = gateway.version.clone();
                let (first_seen, last_seen) = (gateway.first_seen, gateway.last_seen);
                rows.push(GatewayRow { id: id.clone(), version, connected, first_seen, last_seen });
            }
        }
        (rows, forgotten)
    }
}

impl Poll {
    /// The answer is on its way: the gateway goes on living without a poll for a while.
    pub fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        let (now, time) = (self.inner.clock.instant(), self.inner.clock.now());
        if let Some(gateway) = self.inner.lock().get_mut(&self.gateway) {
            gateway.held = gateway.held.saturating_sub(1);
            gateway.last_seen = time;
            if !self.finished {
                gateway.expected_until = gateway.expected_until.min(now + RECONNECT);
            }
        }
    }
}

impl Inner {
    /// A panic elsewhere leaves the map as it was, so it is still good.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Gateway>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    fn seen(
        version: Option<String>,
        first_seen: Timestamp,
        last_seen: Timestamp,
        expected_until: Instant,
    ) -> Self {
        let acks = VecDeque::new();
        Self { version, first_seen, last_seen, held: 0, expected_until, acks, unsaved: true }
    }

    /// True when that is news.
    fn acknowledge(&mut self, revision: Option<u64>, at: Instant, time: Timestamp) -> bool {
        let last = self.acks.back().map(|ack| ack.revision);
        if revision == last {
            return false;
        }
        // Without a table, or back at an older one: what was enforced before is not any more.
        if revision < last {
            self.acks.clear();
        }
        if let Some(revision) = revision {
            if self.acks.len() == ACKS_KEPT {
                self.acks.pop_front();
            }
            self.acks.push_back(Ack { revision, at, time });
        }
        true
    }

    /// The first acknowledgement that covers `revision`.
    fn covering(&self, revision: u64) -> Option<Ack> {
        self.acks.iter().find(|ack| ack.revision >= revision).copied()
    }

    fn is_connected(&self, now: Instant) -> bool {
        self.held > 0 || now < self.expected_until
    }

    fn view(&self, id: &str, connected: bool) -> GatewayView {
        let last = self.acks.back();
        GatewayView {
            id: id.to_owned(),
            version: self.version.clone(),
            connected,
            acknowledged: last.map(|ack| ack.revision),
            acknowledged_at: last.map(|ack| ack.time),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
        }
    }
}
