//! A key record made ready for the request path: everything that can be computed once per key is, so that a request
//! neither hashes nor formats anything for its limits.

use crate::api_key::KeyHash;
use crate::host::WallClock;
use crate::limit::Slot;
use crate::record::KeyRecord;

/// A key record in a worker's memory.
#[derive(Debug)]
pub struct KnownKey {
    hash: KeyHash,
    record: KeyRecord,
    slots: Vec<Slot>,
    rate_limit_policy: String,
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl KnownKey {
    /// Prepares a record.
    pub fn new(hash: KeyHash, record: KeyRecord) -> Self {
        let slots = record.limits.iter().map(|limit| Slot::new(limit, &hash, &record)).collect();
        let rate_limit_policy = crate::reply::rate_limit_policy(&record.limits);
        Self { hash, record, slots, rate_limit_policy }
    }

    /// The key's hash.
    pub const fn hash(&self) -> &KeyHash {
        &self.hash
    }

    /// The record as it came.
    pub const fn record(&self) -> &KeyRecord {
        &self.record
    }

    /// The record's limits, in its order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// `RateLimit-Policy` of all limits together; empty when there are none.
    pub fn rate_limit_policy(&self) -> &str {
        &self.rate_limit_policy
    }

    /// True from the second of `expires_at` on.
    pub fn is_expired(&self, now: WallClock) -> bool {
        self.record.expires_at.is_some_and(|at| now >= at.saturating_mul(NANOS_PER_SECOND))
    }
}
