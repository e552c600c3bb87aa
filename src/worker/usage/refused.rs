//! A sample of the hashes that were refused: who goes on with a dead key sends the same value again and again, and so keeps its place;
//! a value that came once leaves it at the next hand-over. So random keys at full speed take the places that are free and nothing more.
//!
//! What it misses: a value that has no place while others take all of them, or that comes less than once between two hand-overs.

use std::collections::HashMap;

use super::bag::put_refused;
use crate::contract::key::KeyHash;
use crate::decision::fingerprint::Fingerprint;
use crate::worker::hashers::ByPrefix;

/// Most hashes that are remembered.
pub const MAX_SAMPLED: usize = 256;

#[derive(Debug)]
pub struct Sample {
    values: HashMap<Fingerprint, Refused, ByPrefix>,
    most: usize,
}

#[derive(Debug)]
struct Refused {
    hash: KeyHash,
    environment: bool,
    requests: u32,
}

impl Sample {
    pub fn new(most: usize) -> Self {
        Self { values: HashMap::default(), most }
    }

    pub fn count(&mut self, value: Fingerprint, environment: bool, hash: impl FnOnce() -> Option<KeyHash>) {
        if let Some(known) = self.values.get_mut(&value) {
            known.environment = environment;
            known.requests = known.requests.saturating_add(1);
        } else if self.values.len() < self.most
            && let Some(hash) = hash()
        {
            self.values.insert(value, Refused { hash, environment, requests: 1 });
        }
    }

    /// Appends what was counted, as of this minute.
    pub fn write(&self, out: &mut Vec<u8>, minute: u32) {
        for refused in self.values.values().filter(|refused| refused.requests > 0) {
            put_refused(out, (minute, refused.hash, refused.environment), refused.requests.into());
        }
    }

    /// Begins anew, and keeps the places of those who came.
    pub fn clear(&mut self) {
        self.values.retain(|_, refused| std::mem::take(&mut refused.requests) > 0);
    }
}
