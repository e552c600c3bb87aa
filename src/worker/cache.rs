//! A bounded cache of records in two generations: records that are used move to the young one; when that is full, the old
//! one is forgotten whole. Constant time per look-up, at most twice the capacity in memory, no bookkeeping per hit.
//! Beside the records are the permits of the `Authorization` values that were authenticated lately, forgotten with them.
//!
//! Only keys that exist get in, so random keys can neither fill it nor push a hot key out. Unknown ones have a small set of
//! their own.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::contract::key::KeyHash;
use crate::decision::auth::Permit;
use crate::decision::known_key::KnownKey;

use super::hashers::ByPrefix;
use crate::decision::fingerprint::Fingerprint;

type Generation = HashMap<KeyHash, Rc<KnownKey>, ByPrefix>;

/// The records that a worker has used lately.
#[derive(Debug)]
pub struct Cache {
    young: Generation,
    old: Generation,
    /// Permits by the fingerprint of the `Authorization` value that earned them.
    permits: HashMap<Fingerprint, Permit, ByPrefix>,
    /// Fingerprints of values whose key the table did not have. A client that goes on with a revoked key sends the same one
    /// again and again.
    unknown: HashSet<Fingerprint, ByPrefix>,
    capacity: usize,
}

/// Most fingerprints of unknown keys: 16 bytes each.
const MAX_UNKNOWN: usize = 1024;

impl Cache {
    /// A cache whose generations hold `capacity` records each.
    pub fn new(capacity: usize) -> Self {
        Self {
            young: Generation::default(),
            old: Generation::default(),
            permits: HashMap::default(),
            unknown: HashSet::default(),
            capacity,
        }
    }

    /// The record of a key, if it was used lately.
    pub fn get(&mut self, hash: &KeyHash) -> Option<Rc<KnownKey>> {
        if let Some(key) = self.young.get(hash) {
            return Some(Rc::clone(key));
        }
        let key = self.old.remove(hash)?;
        self.insert(Rc::clone(&key));
        Some(key)
    }

    /// Keeps a record.
    pub fn insert(&mut self, key: Rc<KnownKey>) {
        if self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(*key.hash(), key);
    }

    /// The permit that this value earned lately.
    pub fn permit(&self, value: Fingerprint) -> Option<&Permit> {
        self.permits.get(&value)
    }

    /// Keeps a permit. When there are too many (one key can be spelled in many ways) all are forgotten: the next request
    /// of each earns its own again.
    pub fn insert_permit(&mut self, value: Fingerprint, permit: Permit) {
        if self.permits.len() >= self.capacity {
            self.permits.clear();
        }
        self.permits.insert(value, permit);
    }

    /// True when this value's key was not in the table as this worker knows it.
    pub fn is_unknown(&self, value: Fingerprint) -> bool {
        self.unknown.contains(&value)
    }

    /// Notes that this value's key is not in the table. Random keys at full speed make this forget, and nothing else.
    pub fn insert_unknown(&mut self, value: Fingerprint) {
        if self.unknown.len() >= MAX_UNKNOWN {
            self.unknown.clear();
        }
        self.unknown.insert(value);
    }

    /// Forgets the records whose hash `changed` names.
    pub fn forget(&mut self, changed: impl Fn(&KeyHash) -> bool) {
        self.young.retain(|hash, _| !changed(hash));
        self.old.retain(|hash, _| !changed(hash));
        self.permits.retain(|_, permit| !changed(permit.key().hash()));
        // A fingerprint does not tell its bucket.
        self.unknown.clear();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.permits.clear();
        self.unknown.clear();
    }

    /// How many records are in it.
    pub fn len(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
