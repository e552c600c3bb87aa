//! Counts on their way from the workers to the sync, as bytes that can be put behind each other, and as what they are together. When
//! they grow too many the oldest minutes lose their detail first, then the keys that were used least; the sums stay.

use std::collections::BTreeMap;

use crate::bytes::{Reader, put_text};
use crate::contract::key::KeyHash;
use crate::contract::usage::{OTHER_KEYS, UsageOutcome};

/// Requests by outcome, each at the place of its number.
pub type Tally = [u64; UsageOutcome::ALL.len()];
/// A minute, and a key's id.
pub type CountKey = (u32, String);
/// A minute, a hash, and whether it was refused for its environment.
pub type RefusedKey = (u32, KeyHash, bool);

/// Counts that were put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bag {
    /// Of keys that are known.
    pub counts: BTreeMap<CountKey, Tally>,
    /// Of values that were refused.
    pub refused: BTreeMap<RefusedKey, u64>,
}

const COUNT: u8 = 1;
const REFUSED: u8 = 2;
/// Most refused hashes in one bag.
pub const MAX_REFUSED: usize = 1_024;

/// Appends the counts of one key.
pub fn put_count(out: &mut Vec<u8>, id: &str, minute: u32, tally: &Tally) {
    let mask = tally.iter().rev().fold(0u8, |mask, count| (mask << 1) | u8::from(*count > 0));
    out.push(COUNT);
    put_text(out, id);
    out.extend_from_slice(&minute.to_le_bytes());
    out.push(mask);
    for count in tally.iter().filter(|count| **count > 0) {
        out.extend_from_slice(&count.to_le_bytes());
    }
}

/// Appends how often a value was refused.
pub fn put_refused(out: &mut Vec<u8>, (minute, hash, environment): RefusedKey, requests: u64) {
    out.push(REFUSED);
    out.extend_from_slice(&hash.0);
    out.push(u8::from(environment));
    out.extend_from_slice(&minute.to_le_bytes());
    out.extend_from_slice(&requests.to_le_bytes());
}

impl Bag {
    /// Adds all that is in these bytes; what comes behind something that is not understood is lost.
    pub fn add(&mut self, bytes: &[u8]) {
        let mut reader = Reader::new(bytes);
        while self.add_next(&mut reader).is_some() {}
    }

    fn add_next(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        match reader.u8()? {
            COUNT => {
                let (id, minute, mask) = (reader.text()?, reader.u32()?, reader.u8()?);
                let mut tally = Tally::default();
                for (bit, count) in tally.iter_mut().enumerate() {
                    if mask >> bit & 1 == 1 {
                        *count = reader.u64()?;
                    }
                }
                self.add_count((minute, id.to_owned()), &tally);
            }
            REFUSED => {
                let (hash, environment) = (KeyHash(reader.array()?), reader.u8()? != 0);
                let (minute, requests) = (reader.u32()?, reader.u64()?);
                add(self.refused.entry((minute, hash, environment)).or_default(), requests);
            }
            _ => return None,
        }
        Some(())
    }

    /// Adds requests of one key in one minute.
    fn add_count(&mut self, key: CountKey, tally: &Tally) {
        let sum = self.counts.entry(key).or_default();
        sum.iter_mut().zip(tally).for_each(|(sum, count)| add(sum, *count));
    }

    /// The bytes, which [`Self::add`] takes in again.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for ((minute, id), tally) in &self.counts {
            put_count(out, id, *minute, tally);
        }
        for (key, requests) in &self.refused {
            put_refused(out, *key, *requests);
        }
    }

    /// True when nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.refused.is_empty()
    }

    /// Keeps at most so many keys and minutes of what was counted, and [`MAX_REFUSED`] hashes.
    pub fn shrink(&mut self, most: usize) {
        self.keep_refused(MAX_REFUSED);
        while self.counts.len() > most {
            let mut minutes: Vec<u32> = self.counts.keys().map(|(minute, _)| *minute).collect();
            minutes.dedup();
            if minutes.len() < 2 {
                return self.keep_busiest(most);
            }
            // The older half becomes one: the newest of its minutes, so that nothing was used earlier than it is said to be.
            let Some(middle) = minutes.get(minutes.len() / 2).copied() else { return };
            for ((minute, id), tally) in std::mem::take(&mut self.counts) {
                self.add_count((minute.max(middle), id), &tally);
            }
        }
    }

    /// Keeps the hashes that came most often. They are a sample anyway.
    pub fn keep_refused(&mut self, most: usize) {
        if self.refused.len() <= most {
            return;
        }
        let mut all: Vec<_> = std::mem::take(&mut self.refused).into_iter().collect();
        all.sort_by_key(|(_, requests)| std::cmp::Reverse(*requests));
        self.refused = all.into_iter().take(most).collect();
    }

    /// Takes out what is more than so many counts, a count being one outcome of a key in a minute.
    #[must_use]
    pub fn split_off(&mut self, most: usize) -> Self {
        let mut room = most;
        let mut rest = Self::default();
        for (key, tally) in std::mem::take(&mut self.counts) {
            let counts = tally.iter().filter(|count| **count > 0).count();
            match room.checked_sub(counts) {
                Some(left) => {
                    room = left;
                    self.counts.insert(key, tally);
                }
                None => {
                    room = 0;
                    rest.counts.insert(key, tally);
                }
            }
        }
        rest
    }

    fn keep_busiest(&mut self, most: usize) {
        let mut all: Vec<_> = std::mem::take(&mut self.counts).into_iter().collect();
        let sum = |tally: &Tally| tally.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        all.sort_by_key(|(_, tally)| std::cmp::Reverse(sum(tally)));
        let others = all.split_off(most.saturating_sub(1).min(all.len()));
        self.counts = all.into_iter().collect();
        for ((minute, _), tally) in others {
            self.add_count((minute, OTHER_KEYS.to_owned()), &tally);
        }
    }
}

const fn add(sum: &mut u64, count: u64) {
    *sum = sum.saturating_add(count);
}
