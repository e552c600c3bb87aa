//! The keys that were used since the last hand-over, with their counts. A key says where its counts are, so that a request finds them
//! without a look-up; whether they are still there is seen by the key that lies beside them.
//!
//! Memory: 24 bytes per key and 4 in the key itself on WebAssembly, and whatever the key's record takes that the cache has forgotten
//! meanwhile. Keys beyond [`MAX_ACTIVE`] are counted together.

use std::rc::Rc;

use super::bag::{Tally, put_count};
use crate::contract::usage::{OTHER_KEYS, UsageOutcome};
use crate::decision::known_key::KnownKey;

/// Most keys that are told apart between two hand-overs.
pub const MAX_ACTIVE: usize = 8_192;
/// Room that is kept for the next keys.
const ROOM: usize = 1_024;

#[derive(Debug)]
pub struct Active {
    keys: Vec<Counted>,
    most: usize,
    others: Tally,
}

#[derive(Debug)]
struct Counted {
    key: Rc<KnownKey>,
    counts: [u32; UsageOutcome::ALL.len()],
}

impl Active {
    pub fn new(most: usize) -> Self {
        Self { keys: Vec::new(), most, others: Tally::default() }
    }

    #[inline]
    pub fn count(&mut self, key: &Rc<KnownKey>, outcome: UsageOutcome) {
        match self.keys.get_mut(key.place()) {
            Some(counted) if Rc::ptr_eq(&counted.key, key) => {
                if let Some(count) = counted.counts.get_mut(outcome as usize) {
                    *count = count.saturating_add(1);
                }
            }
            _ => self.begin(key, outcome),
        }
    }

    #[cold]
    fn begin(&mut self, key: &Rc<KnownKey>, outcome: UsageOutcome) {
        if self.keys.len() >= self.most {
            if let Some(count) = self.others.get_mut(outcome as usize).filter(|_| self.most > 0) {
                *count = count.saturating_add(1);
            }
            return;
        }
        key.count_at(self.keys.len());
        let mut counted = Counted { key: Rc::clone(key), counts: Default::default() };
        if let Some(count) = counted.counts.get_mut(outcome as usize) {
            *count = 1;
        }
        self.keys.push(counted);
    }

    /// Appends what was counted, as of this minute.
    pub fn write(&self, out: &mut Vec<u8>, minute: u32) {
        for Counted { key, counts } in &self.keys {
            put_count(out, &key.record().id, minute, &counts.map(u64::from));
        }
        if self.others.iter().any(|count| *count > 0) {
            put_count(out, OTHER_KEYS, minute, &self.others);
        }
    }

    /// The keys that were told apart, and what was counted of each.
    pub fn keys(&self) -> impl Iterator<Item = (&KnownKey, Tally)> {
        self.keys.iter().map(|counted| (&*counted.key, counted.counts.map(u64::from)))
    }

    pub fn clear(&mut self) {
        self.keys.clear();
        self.keys.shrink_to(ROOM);
        self.others = Tally::default();
    }
}
