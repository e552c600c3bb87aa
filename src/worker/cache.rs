//! A bounded cache of records in two generations: records that are used move to the young one; when that is full, the old
//! one is forgotten whole. Constant time per look-up, at most twice the capacity in memory, no bookkeeping per hit.
//!
//! Only keys that exist get in, so random keys can neither fill it nor push a hot key out.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use crate::api_key::KeyHash;
use crate::known_key::KnownKey;

/// Hashes a [`KeyHash`] by its own first bytes: SHA-256 has mixed them, and who wants a collision has to find keys
/// that the control plane would accept.
pub type HashPrefix = BuildHasherDefault<PrefixHasher>;

/// See [`HashPrefix`].
#[derive(Debug, Default)]
pub struct PrefixHasher(u64);

impl Hasher for PrefixHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*prefix);
        }
    }

    // The length that the derived `Hash` of an array announces carries nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type Generation = HashMap<KeyHash, Rc<KnownKey>, HashPrefix>;

/// The records that a worker has used lately.
#[derive(Debug)]
pub struct Cache {
    young: Generation,
    old: Generation,
    capacity: usize,
}

impl Cache {
    /// A cache whose generations hold `capacity` records each.
    pub fn new(capacity: usize) -> Self {
        Self { young: Generation::default(), old: Generation::default(), capacity }
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

    /// Forgets the records whose hash `changed` names.
    pub fn forget(&mut self, changed: impl Fn(&KeyHash) -> bool) {
        self.young.retain(|hash, _| !changed(hash));
        self.old.retain(|hash, _| !changed(hash));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
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
