//! Counts on their way from the workers to the sync, as bytes that can be put behind each other, and as what they are together. When
//! they grow too many the oldest minutes lose their detail first, then the keys that were used least; the sums stay.

use std::collections::{BTreeMap, HashMap};

use crate::bytes::{Reader, put_text};
use crate::contract::key::KeyHash;
use crate::contract::usage::{OTHER_KEYS, UsageOutcome};
use crate::worker::hashers::ByNumber;

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
    tally.iter().filter(|count| **count > 0).for_each(|count| put_number(out, *count));
}

/// Appends how often a value was refused.
pub fn put_refused(out: &mut Vec<u8>, (minute, hash, environment): RefusedKey, requests: u64) {
    out.push(REFUSED);
    out.extend_from_slice(&hash.0);
    out.push(u8::from(environment));
    out.extend_from_slice(&minute.to_le_bytes());
    put_number(out, requests);
}

/// Seven bits a byte, the lowest first (LEB128, as in WebAssembly's binary format): nearly all counts of a second are one byte.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn number(reader: &mut Reader<'_>) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = reader.u8()?;
        number |= u64::from(byte & 0x7F).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// One thing of which there are counts, as its bytes say it.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Entry<'b> {
    Count(u32, &'b str),
    Refused(RefusedKey),
}

/// The next entry, and its counts; those of a refused value are the first.
fn next<'b>(reader: &mut Reader<'b>) -> Option<(Entry<'b>, Tally)> {
    let mut tally = Tally::default();
    match reader.u8()? {
        COUNT => {
            let (id, minute, mask) = (reader.text()?, reader.u32()?, reader.u8()?);
            for (bit, count) in tally.iter_mut().enumerate() {
                if mask >> bit & 1 == 1 {
                    *count = number(reader)?;
                }
            }
            Some((Entry::Count(minute, id), tally))
        }
        REFUSED => {
            let (hash, environment) = (KeyHash(reader.array()?), reader.u8()? != 0);
            let minute = reader.u32()?;
            tally = [number(reader)?, 0, 0, 0, 0];
            Some((Entry::Refused((minute, hash, environment)), tally))
        }
        _ => None,
    }
}

/// The entries with each thing once; `None` when there are more than so many. On a worker's tick, so without the order and the copies of
/// a [`Bag`].
pub fn add_up(parts: [&[u8]; 2], most: usize) -> Option<Vec<u8>> {
    let mut sums: HashMap<Entry<'_>, Tally, ByNumber> = HashMap::default();
    for part in parts {
        let mut reader = Reader::new(part);
        while let Some((entry, tally)) = next(&mut reader) {
            let sum = sums.entry(entry).or_default();
            sum.iter_mut().zip(&tally).for_each(|(sum, count)| add(sum, *count));
        }
    }
    if sums.len() > most {
        return None;
    }
    let mut out = Vec::new();
    for (entry, tally) in &sums {
        match entry {
            Entry::Count(minute, id) => put_count(&mut out, id, *minute, tally),
            Entry::Refused(key) => put_refused(&mut out, *key, tally.first().copied().unwrap_or_default()),
        }
    }
    Some(out)
}

impl Bag {
    /// Adds all that is in these bytes; what comes behind something that is not understood is lost.
    pub fn add(&mut self, bytes: &[u8]) {
        let mut reader = Reader::new(bytes);
        while let Some((entry, tally)) = next(&mut reader) {
            match entry {
                Entry::Count(minute, id) => self.add_count((minute, id.to_owned()), &tally),
                Entry::Refused(key) => {
                    add(self.refused.entry(key).or_default(), tally.first().copied().unwrap_or_default());
                }
            }
        }
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

    /// Keeps at most so many keys and minutes of what was counted, and a bounded number of hashes.
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
