//! What a worker remembers: the records it has used, the limiter's leases, the streams that are open under a key, and where it
//! stands against the shared table. A worker is one root context in one VM on one thread, so nothing here is shared.
//!
//! Invariant: what the cache holds was true at `status.sequence` or later. [`Worker::tick`] reads `status`, drops what
//! changed since, and only then moves on; a request never reads shared data for a key that the cache holds.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use crate::config::{Config, FilterConfig, SyncConfig};
use crate::contract::key::KeyHash;
use crate::decision::auth::Permit;
use crate::decision::denial::Unavailable;
use crate::decision::known_key::KnownKey;
use crate::decision::metrics::{Counter, Counts};
use crate::decision::reply::Replies;
use crate::decision::throttle::Throttle;
use crate::host::{Clock, HostError, Monotonic, Now, SharedData, random_u64};
use crate::limit::Limiter;
use crate::limit::fleet::Fleet;
use crate::table::status::{ChangeRing, Status};
use crate::table::{self, Found, Unreadable, bucket_of};

use super::cache::Cache;
use super::hashers::ByPrefix;
use super::held::Held;
use super::known_settings::KnownSettings;
use super::roster::{self, Presence};
use super::streams::{StreamId, Streams};
use super::telling::Telling;
use super::unknown_keys::Absences;
use super::usage::Usage;
use super::waiting::Waiting;
use super::{in_shadow, plans, stale};
use crate::decision::fingerprint::{Fingerprint, Fingerprints};

/// State of one worker.
#[derive(Debug)]
pub struct Worker {
    pub(super) config: Rc<Config>,
    static_keys: HashMap<KeyHash, Rc<KnownKey>, ByPrefix>,
    cache: Cache,
    absences: Absences,
    plans: plans::Known,
    fingerprints: Fingerprints,
    pub(super) status: Option<Status>,
    pub(super) presence: Presence,
    telling: Telling,
    /// In shadow only.
    telling_shadow: Option<Box<Telling>>,
    /// What [`Self::is_ready`] found since the last tick.
    pub(super) ready: Option<bool>,
    /// Keys of open streams that have to be looked up again.
    rechecks: VecDeque<KeyHash>,
    /// What is in `rechecks`, so that nothing is in it twice.
    pending: HashSet<KeyHash, ByPrefix>,
    /// The clocks when they were last read: on every tick, and for every request where the table's age counts.
    pub(super) now: Now,
    expiry_checked: u64,
    /// What requests that do not pass are told.
    pub replies: Replies,
    /// The requests' limits.
    pub limiter: Limiter,
    /// Those of the requests' limits that the fleet counts together.
    pub fleet: Fleet,
    /// Settings of routes, where they count.
    pub(super) route_settings: KnownSettings,
    /// Failures by client address, when they are throttled.
    pub throttle: Option<Throttle>,
    /// Open streams by key.
    pub streams: Streams,
    /// Requests that wait for the first table.
    pub held: Held,
    /// Requests that wait for a token of a fleet limit.
    pub waiting: Waiting,
    /// The shared queue that wakes this worker, where the host has queues; and whether it stands in the list of those to be woken.
    pub(super) queue: Option<Option<u32>>,
    pub(super) is_enlisted: bool,
    /// Counts until the next flush.
    pub counts: Counts,
    /// What keys were used for, until it is handed over.
    pub usage: Usage,
}

/// Keys looked up again per tick: each costs about as much as a request.
const RECHECKS_PER_TICK: usize = 256;
/// How often open streams are checked against their keys' expiry, in nanoseconds.
const EXPIRY_CHECK_NS: u64 = 1_000_000_000;

impl Worker {
    /// A worker that has seen nothing yet.
    pub fn new(config: Rc<Config>) -> Self {
        let static_keys = config.filter.static_keys.iter().map(|key| (*key.hash(), Rc::clone(key))).collect();
        let telling_shadow = config.filter.shadow.then(|| Box::new(in_shadow::telling()));
        Self {
            static_keys,
            cache: Cache::new(config.filter.cache_records),
            absences: Absences::default(),
            plans: plans::Known::default(),
            fingerprints: Fingerprints::new(),
            replies: Replies::new(&config.filter.realm, config.filter.key_sources.as_deref()),
            throttle: config.filter.failure_throttle.map(|throttle| {
                // The cache has two generations.
                Throttle::new(throttle, config.filter.cache_records.saturating_mul(2))
            }),
            usage: Usage::new(config.sync.is_some(), config.filter.shadow),
            waiting: Waiting::new(config.filter.fleet_wait_ns),
            queue: None,
            is_enlisted: false,
            config,
            status: None,
            presence: Presence::new(roster::name(random_u64())),
            telling: stale::telling(),
            telling_shadow,
            ready: None,
            rechecks: VecDeque::new(),
            pending: HashSet::default(),
            now: Now::default(),
            expiry_checked: 0,
            limiter: Limiter::new(),
            fleet: Fleet::default(),
            route_settings: KnownSettings::default(),
            streams: Streams::default(),
            held: Held::default(),
            counts: Counts::default(),
        }
    }

    /// How requests are decided.
    pub fn config(&self) -> &FilterConfig {
        &self.config.filter
    }

    /// How the table gets here; `None` with static keys alone.
    pub fn sync(&self) -> Option<&SyncConfig> {
        self.config.sync.as_ref()
    }

    /// The table's status as this worker enforces it.
    pub const fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// A request begins. The clocks of the last tick may be hours old: after the machine slept, requests that lie in the
    /// sockets can be served before timers. So they are read where the table's age counts; otherwise the request need not
    /// ask the host. The first request of a VM may come before its first tick.
    pub fn begin_request<H: Clock>(&mut self, host: &H) {
        if self.config.filter.max_staleness_ns.is_some() || self.now == Now::default() {
            self.now = host.now();
        }
    }

    /// From now on requests wait for the first table, until `start_hold_ms` after the VM's start.
    pub fn hold_since(&mut self, started: Monotonic) {
        if self.config.sync.is_some() && self.config.filter.start_hold_ns > 0 {
            self.held.open(started.saturating_add(self.config.filter.start_hold_ns));
        }
    }

    /// True when a request that cannot be decided may wait: there was no table yet, and one may come in time.
    pub fn may_hold<H: Clock>(&self, host: &H) -> bool {
        self.status.is_none() && self.held.admits(|| host.monotonic())
    }

    /// The fingerprint of an `Authorization` value in this VM.
    pub fn fingerprint(&self, value: &[u8]) -> Fingerprint {
        self.fingerprints.of(value)
    }

    /// The permit that this value earned before, unless the table is too old to rely on.
    pub fn recognise(&self, value: Fingerprint) -> Option<&Permit> {
        self.check_staleness().ok().and_then(|()| self.cache.permit(value))
    }

    /// Keeps the permit that this value has earned.
    pub fn remember(&mut self, value: Fingerprint, permit: &Permit) {
        self.cache.insert_permit(value, permit.clone());
    }

    /// True when this value's key was looked for in vain since the table last changed.
    pub fn is_unknown(&self, value: Fingerprint) -> bool {
        self.cache.is_unknown(value) && self.check_staleness().is_ok()
    }

    /// Notes that this value's key was looked for in vain.
    pub fn remember_unknown(&mut self, value: Fingerprint) {
        self.cache.insert_unknown(value);
    }

    /// Finds a key: static keys, then this worker's memory, then the shared table.
    pub fn find<H: SharedData + Clock>(
        &mut self,
        host: &H,
        hash: &KeyHash,
    ) -> Result<Option<Rc<KnownKey>>, Unavailable> {
        if let Some(key) = self.static_keys.get(hash) {
            return Ok(Some(Rc::clone(key)));
        }
        if self.config.sync.is_none() {
            return Ok(None);
        }
        self.check_staleness()?;
        if let Some(key) = self.cache.get(hash) {
            return Ok(Some(key));
        }
        if self.status.as_ref().is_some_and(|status| self.absences.excludes(hash, status.bits)) {
            return Ok(None);
        }
        match self.look_up(host, hash)? {
            Found::Record(record) => {
                let plans = self.plans.of(host, &record)?;
                let key = Rc::new(KnownKey::with_plans(*hash, record, plans));
                self.cache.insert(Rc::clone(&key));
                Ok(Some(key))
            }
            Found::Nothing(summary) => {
                let bits = self.status.as_ref().map_or(0, |status| status.bits);
                self.absences.note(hash, bits, summary);
                Ok(None)
            }
        }
    }

    /// What a tick does: follow the table, note where this worker stands, give unused tokens back, look for streams whose
    /// key is gone.
    pub fn tick<H: SharedData + Clock>(&mut self, host: &H) {
        self.now = host.now();
        self.ready = None;
        if self.config.sync.is_some() {
            // A host that cannot be read is no news: the cache stays, and max_staleness has the last word.
            if let Err(error) = self.refresh(host) {
                log::debug!("flamegate: status cannot be read: {error}");
            }
            let position =
                self.status.as_ref().map_or((0, 0), |status| (status.incarnation, status.sequence));
            self.presence.announce(host, position, self.now.monotonic);
            if self.check_staleness().is_err() {
                self.telling.tell(host, self.now.monotonic);
            }
            if let Some(telling) = &mut self.telling_shadow {
                telling.tell(host, self.now.monotonic);
            }
            self.usage.tick(host, self.presence.worker(), self.now);
        }
        self.limiter.tick(host);
        self.fleet.tick(host);
        self.counts.add(Counter::FleetAlone, self.fleet.take_alone());
        self.counts.add(Counter::FleetRefusedWhileHeld, self.fleet.take_refused_while_held());
        self.counts.add(Counter::LimiterFallback, self.limiter.take_fallbacks());
        self.recheck_streams(host);
        self.expire_streams();
    }

    /// A request was admitted and goes on; `grpc` says whether it is one to Envoy.
    pub fn opened(&mut self, stream: StreamId, permit: Permit, grpc: bool) {
        let ends = self.config().end_streams;
        let awaits = self.config().rate_limit_on_success && !permit.key().slots().is_empty();
        if awaits {
            self.streams.await_response(stream, Rc::clone(permit.key()));
        }
        if ends || awaits {
            self.streams.opened(stream, permit.into_key(), grpc, self.now.monotonic);
        }
    }

    /// Takes over the streams of a worker with the same configuration that goes. What it knew of changes is not known here, so
    /// all keys are looked up again.
    pub fn take_over(&mut self, streams: Streams) {
        self.streams.append(streams);
        self.recheck_later(|_| true);
    }

    /// Forgets streams that are over; to be called on every tick.
    pub fn forget_closed_streams(&mut self, is_open: impl FnMut(StreamId) -> bool) {
        self.streams.forget_closed(self.now.monotonic, is_open);
    }

    /// Reads the shared status and forgets whatever changed since this worker last looked.
    pub fn refresh<H: SharedData>(&mut self, host: &H) -> Result<(), HostError> {
        let next = Status::read(host)?;
        let (Some(old), Some(new)) = (&self.status, &next) else {
            if self.status.is_some() || next.is_some() {
                self.forget_all();
                self.status = next;
                self.recheck_later(|_| true);
            }
            return Ok(());
        };
        if (old.incarnation, old.sequence) == (new.incarnation, new.sequence) {
            self.status = next;
            return Ok(());
        }
        let ring = ChangeRing::read(host)?;
        let same_table =
            old.incarnation == new.incarnation && old.bits == new.bits && old.sequence < new.sequence;
        let changed = ring.since(old.sequence).filter(|_| same_table).map(|buckets| {
            let mut buckets: Vec<u32> = buckets.collect();
            buckets.sort_unstable();
            buckets
        });
        let bits = new.bits;
        self.status = next;
        match changed {
            Some(buckets) => {
                let affected = |hash: &KeyHash| buckets.binary_search(&bucket_of(hash, bits)).is_ok();
                self.cache.forget(affected);
                self.absences.forget(&buckets);
                self.recheck_later(affected);
            }
            None => {
                self.forget_all();
                self.recheck_later(|_| true);
            }
        }
        Ok(())
    }

    /// Forgets whatever was read from shared data.
    fn forget_all(&mut self) {
        self.cache.clear();
        self.absences.clear();
        self.plans.forget();
    }

    /// Reads the shared table, once more with a fresh status when the layout has moved on since the last tick.
    fn look_up<H: SharedData + Clock>(&mut self, host: &H, hash: &KeyHash) -> Result<Found, Unavailable> {
        if self.status.is_none() {
            self.refresh(host).map_err(|_| Unavailable::NotSynced)?;
            // From here on the cache may hold a record, so this worker counts for acknowledgements.
            self.now = host.now();
            self.announce(host);
        }
        for attempt in [1, 2] {
            let Some(status) = &self.status else { return Err(Unavailable::NotSynced) };
            match table::find(host, status, hash) {
                Ok(found) => return Ok(found),
                Err(Unreadable::Missing) if attempt == 1 => {
                    self.refresh(host).map_err(|_| Unavailable::NotSynced)?;
                }
                Err(reason) => {
                    log::debug!("flamegate: key table cannot be read: {reason:?}");
                    if !matches!(reason, Unreadable::Host(_)) {
                        // A hole in the table in use: the sync has to replace it.
                        let _ = Status::invalidate(host);
                    }
                    return Err(Unavailable::NotSynced);
                }
            }
        }
        Err(Unavailable::NotSynced)
    }

    /// Tells the sync what this worker enforces.
    pub(super) fn announce<H: SharedData>(&mut self, host: &H) {
        let position = self.status.as_ref().map_or((0, 0), |status| (status.incarnation, status.sequence));
        self.presence.announce(host, position, self.now.monotonic);
    }

    /// Takes this worker off the roster: nobody has to wait for it any more. Hands over what it has counted.
    pub fn leave<H: SharedData + Clock>(&mut self, host: &H) {
        self.usage.hand_over(host, self.presence.worker(), host.now(), true);
        self.fleet.leave(host);
        self.presence.leave(host);
    }

    pub(super) fn check_staleness(&self) -> Result<(), Unavailable> {
        let (Some(most), Some(status)) = (self.config.filter.max_staleness_ns, &self.status) else {
            return Ok(());
        };
        if status.age_ns(self.now) > most { Err(Unavailable::Stale) } else { Ok(()) }
    }

    /// Looks the keys of open streams up again after a change, some per tick, and ends the streams of those that are gone.
    /// A table that cannot be read ends nothing. The cache is left alone: these keys need not be in use.
    fn recheck_streams<H: SharedData>(&mut self, host: &H) {
        let Some(status) = &self.status else { return };
        let count = self.rechecks.len().min(RECHECKS_PER_TICK);
        let mut found = HashMap::default();
        for _ in 0..count {
            let Some(hash) = self.rechecks.pop_front() else { break };
            match table::find(host, status, &hash) {
                Ok(answer) => {
                    let key = match answer.record() {
                        None => None,
                        Some(record) => {
                            let Ok(plans) = self.plans.of(host, &record) else {
                                self.rechecks.push_back(hash);
                                continue;
                            };
                            Some(Rc::new(KnownKey::with_plans(hash, record, plans)))
                        }
                    };
                    self.pending.remove(&hash);
                    found.insert(hash, key);
                }
                Err(_) => self.rechecks.push_back(hash),
            }
        }
        if !found.is_empty() {
            self.streams.update(&found);
        }
    }

    /// Notes that keys of open streams may have changed.
    fn recheck_later(&mut self, affected: impl Fn(&KeyHash) -> bool) {
        if !self.config.filter.end_streams {
            return;
        }
        let known = &self.static_keys;
        let pending = &mut self.pending;
        let keys = self.streams.keys(|hash| affected(hash) && !known.contains_key(hash));
        self.rechecks.extend(keys.into_iter().filter(|hash| pending.insert(*hash)));
    }

    fn expire_streams(&mut self) {
        let due = self.now.monotonic.saturating_sub(self.expiry_checked) >= EXPIRY_CHECK_NS;
        if due && self.config.filter.end_streams {
            self.expiry_checked = self.now.monotonic;
            let wall = self.now.wall;
            self.streams.doom(|key| key.is_expired(|| wall));
        }
    }
}

#[cfg(test)]
mod tests;
