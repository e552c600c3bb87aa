//! Counts on their way from the workers to the sync, as bytes that can be put behind each other, and as what they are together. When
//! they grow too many the oldest minutes lose their detail first, then the keys that were used least; the sums stay.

use std::collections::{BTreeMap, HashMap};

use crate::bytes::{Reader, put_text};
use crate::contract::key::KeyHash;
use crate::contract::usage::{MAX_REASON_COUNTS, OTHER_KEYS, UsageOutcome};
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
    /// Of keys that are known: what would have been refused and has passed in shadow.
    pub shadow: BTreeMap<CountKey, Tally>,
    /// Of all requests that have, by minute and reason; the first count of each.
    pub reasons: BTreeMap<CountKey, Tally>,
}

const COUNT: u8 = 1;
const REFUSED: u8 = 2;
const SHADOW: u8 = 3;
const REASON: u8 = 4;
/// Most refused hashes in one bag.
pub const MAX_REFUSED: usize = 1_024;

/// Appends the counts of one key.
pub fn put_count(out: &mut Vec<u8>, id: &str, minute: u32, tally: &Tally) {
    out.push(COUNT);
    put_tally(out, id, minute, tally);
}

/// Appends what requests of one key would have been refused for.
pub fn put_shadow(out: &mut Vec<u8>, id: &str, minute: u32, tally: &Tally) {
    out.push(SHADOW);
    put_tally(out, id, minute, tally);
}

/// Appends how many requests would have been refused for a reason.
pub fn put_reason(out: &mut Vec<u8>, reason: &str, minute: u32, requests: u64) {
    out.push(REASON);
    put_tally(out, reason, minute, &alone(requests));
}

/// The tally of what has one count.
const fn alone(requests: u64) -> Tally {
    [requests, 0, 0, 0, 0]
}

fn put_tally(out: &mut Vec<u8>, id: &str, minute: u32, tally: &Tally) {
    let mask = tally.iter().rev().fold(0u8, |mask, count| (mask << 1) | u8::from(*count > 0));
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
    Shadow(u32, &'b str),
    Reason(u32, &'b str),
}

/// The next entry, and its counts; of what has one count it is the first.
fn next<'b>(reader: &mut Reader<'b>) -> Option<(Entry<'b>, Tally)> {
    let mut tally = Tally::default();
    match reader.u8()? {
        kind @ (COUNT | SHADOW | REASON) => {
            let (id, minute, mask) = (reader.text()?, reader.u32()?, reader.u8()?);
            for (bit, count) in tally.iter_mut().enumerate() {
                if mask >> bit & 1 == 1 {
                    *count = number(reader)?;
                }
            }
            let entry = match kind {
                COUNT => Entry::Count(minute, id),
                SHADOW => Entry::Shadow(minute, id),
                _ => Entry::Reason(minute, id),
            };
            Some((entry, tally))
        }
        REFUSED => {
            let (hash, environment) = (KeyHash(reader.array()?), reader.u8()? != 0);
            let minute = reader.u32()?;
            tally = alone(number(reader)?);
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
            Entry::Shadow(minute, id) => put_shadow(&mut out, id, *minute, tally),
            Entry::Reason(minute, reason) => put_reason(&mut out, reason, *minute, first(tally)),
            Entry::Refused(key) => put_refused(&mut out, *key, first(tally)),
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
                Entry::Count(minute, id) => add_to(&mut self.counts, (minute, id.to_owned()), &tally),
                Entry::Shadow(minute, id) => add_to(&mut self.shadow, (minute, id.to_owned()), &tally),
                Entry::Reason(minute, reason) => {
                    add_to(&mut self.reasons, (minute, reason.to_owned()), &tally);
                }
                Entry::Refused(key) => add(self.refused.entry(key).or_default(), first(&tally)),
            }
        }
    }

    /// The bytes, which [`Self::add`] takes in again, but for what has passed in shadow.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for ((minute, id), tally) in &self.counts {
            put_count(out, id, *minute, tally);
        }
        for (key, requests) in &self.refused {
            put_refused(out, *key, *requests);
        }
    }

    /// The bytes of what has.
    pub fn encode_shadow(&self, out: &mut Vec<u8>) {
        for ((minute, id), tally) in &self.shadow {
            put_shadow(out, id, *minute, tally);
        }
        for ((minute, reason), tally) in &self.reasons {
            put_reason(out, reason, *minute, first(tally));
        }
    }

    /// True when nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.refused.is_empty() && self.shadow.is_empty() && self.reasons.is_empty()
    }

    /// Keeps at most so many keys and minutes of what was counted, and a bounded number of hashes and reasons.
    pub fn shrink(&mut self, most: usize) {
        self.keep_refused(MAX_REFUSED);
        shrink(&mut self.counts, most);
        shrink(&mut self.shadow, most);
        shrink(&mut self.reasons, MAX_REASON_COUNTS);
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

    /// Keeps at most so many reasons and minutes.
    pub fn keep_reasons(&mut self, most: usize) {
        shrink(&mut self.reasons, most);
    }

    /// Takes out what is more than so many counts, a count being one outcome of a key in a minute. What has passed in shadow counts too,
    /// and may take half.
    #[must_use]
    pub fn split_off(&mut self, most: usize) -> Self {
        let (shadow, taken) = split(&mut self.shadow, most / 2);
        let (counts, _) = split(&mut self.counts, most.saturating_sub(taken));
        Self { counts, shadow, ..Self::default() }
    }
}

fn add_to(counts: &mut BTreeMap<CountKey, Tally>, key: CountKey, tally: &Tally) {
    let sum = counts.entry(key).or_default();
    sum.iter_mut().zip(tally).for_each(|(sum, count)| add(sum, *count));
}

fn shrink(counts: &mut BTreeMap<CountKey, Tally>, most: usize) {
    while counts.len() > most {
        let mut minutes: Vec<u32> = counts.keys().map(|(minute, _)| *minute).collect();
        minutes.dedup();
        if minutes.len() < 2 {
            return keep_busiest(counts, most);
        }
        // The older half becomes one: the newest of its minutes, so that nothing was used earlier than it is said to be.
        let Some(middle) = minutes.get(minutes.len() / 2).copied() else { return };
        for ((minute, id), tally) in std::mem::take(counts) {
            add_to(counts, (minute.max(middle), id), &tally);
        }
    }
}

fn keep_busiest(counts: &mut BTreeMap<CountKey, Tally>, most: usize) {
    let mut all: Vec<_> = std::mem::take(counts).into_iter().collect();
    let sum = |tally: &Tally| tally.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
    all.sort_by_key(|(_, tally)| std::cmp::Reverse(sum(tally)));
    let others = all.split_off(most.saturating_sub(1).min(all.len()));
    counts.extend(all);
    for ((minute, _), tally) in others {
        add_to(counts, (minute, OTHER_KEYS.to_owned()), &tally);
    }
}

/// What is more than so many counts, and how many stay.
fn split(counts: &mut BTreeMap<CountKey, Tally>, most: usize) -> (BTreeMap<CountKey, Tally>, usize) {
    let (mut room, mut rest) = (most, BTreeMap::new());
    let mut stay = 0_usize;
    for (key, tally) in std::mem::take(counts) {
        let here = tally.iter().filter(|count| **count > 0).count();
        match room.checked_sub(here) {
            Some(left) => {
                (room, stay) = (left, stay.saturating_add(here));
                counts.insert(key, tally);
            }
            None => {
                room = 0;
                rest.insert(key, tally);
            }
        }
    }
    (rest, stay)
}

fn first(tally: &Tally) -> u64 {
    tally.first().copied().unwrap_or_default()
}

const fn add(sum: &mut u64, count: u64) {
    *sum = sum.saturating_add(count);
}
