//! A key record made ready for the request path: what each request of the key needs is computed once, so that none hashes
//! anything for its limits. What is told about limits is made when it is needed, and kept.

use std::cell::{Cell, OnceCell, RefCell};

use crate::contract::key::KeyHash;
use crate::contract::plan::{Plan, limit_name};
use crate::contract::record::{KeyRecord, Limit};
use crate::decision::headers::Headers;
use crate::decision::rate_limit;
use crate::decision::restriction::Restriction;
use crate::host::WallClock;
use crate::limit::Slot;

/// A key record in a worker's memory.
#[derive(Debug)]
pub struct KnownKey {
    hash: KeyHash,
    record: KeyRecord,
    slots: Vec<Slot>,
    restrictions: Box<[Restriction]>,
    has_fleet_limit: bool,
    /// Made when it is asked for: a key that is used once and not refused needs none.
    rate_limit_policy: OnceCell<String>,
    /// The headers of the last refusal, with its slot, its seconds and what was left: whoever is refused is refused again within the second.
    refusal: RefCell<Option<(Told, Headers)>>,
    /// Where its worker counts its requests; whoever looks there has to see whether that is still so.
    place: Cell<usize>,
}

/// What a refusal says: the slot, seconds to wait, and what is left.
type Told = (usize, u64, u64);

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl KnownKey {
    /// Prepares a record without plans.
    pub fn new(hash: KeyHash, record: KeyRecord) -> Self {
        Self::with_plans(hash, record, [])
    }

    /// Prepares a record and its plans: each limit and each restriction counts beside the record's own. What a plan limits has a name that
    /// no limit of a key can have, so that it is counted by itself, and goes on being counted under another plan.
    pub fn with_plans<'p>(
        hash: KeyHash,
        mut record: KeyRecord,
        plans: impl IntoIterator<Item = &'p Plan>,
    ) -> Self {
        let mut restrictions: Vec<_> = record.restrict.iter().map(Restriction::new).collect();
        for plan in plans {
            restrictions.extend(plan.restrict.iter().map(Restriction::new));
            let named = |limit: &Limit| Limit { name: limit_name(&limit.name), ..limit.clone() };
            record.limits.extend(plan.limits.iter().map(named));
        }
        let slots: Vec<Slot> = record.limits.iter().map(|limit| Slot::new(limit, &hash, &record)).collect();
        Self {
            has_fleet_limit: slots.iter().any(Slot::is_fleet),
            hash,
            record,
            slots,
            restrictions: restrictions.into(),
            rate_limit_policy: OnceCell::new(),
            refusal: RefCell::default(),
            place: Cell::new(0),
        }
    }

    /// The key's hash.
    pub const fn hash(&self) -> &KeyHash {
        &self.hash
    }

    /// The record, with the limits of its plans.
    pub const fn record(&self) -> &KeyRecord {
        &self.record
    }

    /// The record's limits, in its order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// What it may be used for: each of them must admit a request.
    pub fn restrictions(&self) -> &[Restriction] {
        &self.restrictions
    }

    /// True when the fleet counts one of its limits together.
    pub const fn has_fleet_limit(&self) -> bool {
        self.has_fleet_limit
    }

    /// Where its requests were counted last.
    pub const fn place(&self) -> usize {
        self.place.get()
    }

    /// Its requests are counted there from now on.
    pub fn count_at(&self, place: usize) {
        self.place.set(place);
    }

    /// `RateLimit-Policy` of all limits together; empty when there are none.
    pub fn rate_limit_policy(&self) -> &str {
        self.rate_limit_policy.get_or_init(|| rate_limit::rate_limit_policy(&self.record.limits))
    }

    /// The headers of a 429 because of limit number `slot`, which will admit the request in so many seconds and has so many tokens left.
    pub fn refusal_headers(&self, slot: usize, seconds: u64, left: u64) -> Headers {
        let mut last = self.refusal.borrow_mut();
        match &*last {
            Some((known, headers)) if *known == (slot, seconds, left) => headers.clone(),
            _ => {
                let name = self.slots.get(slot).map_or("", Slot::name);
                let headers = rate_limit::refusal_headers((name, left, seconds), self.rate_limit_policy());
                *last = Some(((slot, seconds, left), headers.clone()));
                headers
            }
        }
    }

    /// True from the second of `expires_at` on. `now` is asked only when there is one: a reading may be a host call.
    pub fn is_expired(&self, now: impl FnOnce() -> WallClock) -> bool {
        self.record.expires_at.is_some_and(|at| now() >= at.saturating_mul(NANOS_PER_SECOND))
    }
}
