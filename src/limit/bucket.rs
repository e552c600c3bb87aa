//! The limiter's shared data: states of all subjects that are not at rest, in a fixed number of buckets.
//!
//! A value is empty or a version byte and 24-byte entries sorted by subject: subject (16), TAT (8, little-endian). Every
//! write drops the entries at rest, so memory follows the subjects in use, not the keys that exist. Bytes that are not
//! such a value count as empty: limits start over, nobody is locked out, and the next write repairs the bucket.

use super::gcra::Tat;
use super::slot::Subject;
use crate::host::{Expect, HostError, Monotonic, SharedData, Write};

/// Number of buckets. A process pays about 200 KB for the keys once all are in use; 100,000 subjects in use at once make
/// 2.3 KB per bucket and a million 24 KB, which is what each lease copies under the host's mutex.
pub const BUCKETS: u16 = 1024;

/// What to do with a subject's state after looking at it, and what to tell the caller.
pub enum Step<T> {
    /// Leave it.
    Keep(T),
    /// Replace it, if nobody has changed the bucket meanwhile; otherwise look again.
    Store(Tat, T),
}

/// Shared data cannot be had: the host failed, or other workers were faster 16 times in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// The entries of one bucket.
#[derive(Clone, Copy)]
pub struct States<'a> {
    entries: &'a [Entry],
    malformed: bool,
}

type Entry = [u8; ENTRY_LEN];

const ENTRY_LEN: usize = 24;
const VERSION: u8 = 1;
/// How often a lost compare-and-swap is tried again.
const ATTEMPTS: u32 = 16;

/// Reads the state of `subject` and replaces it as `decide` says, atomically. `decide` sees 0 for a subject at rest; it
/// is called again after each conflict.
pub fn update<H: SharedData, T>(
    host: &H,
    bucket: u16,
    subject: Subject,
    now: Monotonic,
    mut decide: impl FnMut(Tat) -> Step<T>,
) -> Result<T, Unavailable> {
    let key = key(bucket);
    for _ in 0..ATTEMPTS {
        let (bytes, expect) = read(host, &key)?;
        let states = States::parse(&bytes);
        match decide(states.get(subject)) {
            Step::Keep(answer) => return Ok(answer),
            Step::Store(tat, answer) => {
                if replace(host, &key, states, &states.with(subject, tat, now), expect)? == Write::Stored {
                    return Ok(answer);
                }
            }
        }
    }
    Err(Unavailable)
}

/// Drops the states at rest of one bucket that nobody may write for a long time. A lost race is left to the winner.
pub fn sweep<H: SharedData>(host: &H, bucket: u16, now: Monotonic) -> Result<(), Unavailable> {
    let key = key(bucket);
    let (bytes, expect) = read(host, &key)?;
    let states = States::parse(&bytes);
    if states.malformed || states.entries.iter().any(|entry| split(entry).1 <= now) {
        replace(host, &key, states, &states.alive(now), expect)?;
    }
    Ok(())
}

fn key(bucket: u16) -> String {
    format!("flamegate/limits/{bucket}")
}

fn read<H: SharedData>(host: &H, key: &str) -> Result<(Vec<u8>, Expect), Unavailable> {
    let stored = host.read(key)?;
    Ok(stored.map_or((Vec::new(), Expect::Absent), |value| (value.bytes, Expect::Version(value.cas))))
}

fn replace<H: SharedData>(
    host: &H,
    key: &str,
    old: States<'_>,
    new: &[u8],
    expect: Expect,
) -> Result<Write, Unavailable> {
    let write = host.write(key, new, expect)?;
    if old.malformed && write == Write::Stored {
        log::warn!("limiter: {key} held bytes of an unknown form; its limits started over");
    }
    Ok(write)
}

impl<'a> States<'a> {
    /// Understands a bucket's value; one that it does not understand is empty.
    pub fn parse(bytes: &'a [u8]) -> Self {
        let entries = match bytes.split_first() {
            None => Some([].as_slice()),
            Some((&VERSION, body)) => match body.as_chunks() {
                (entries, []) if entries.is_sorted_by(|a, b| split(a).0 < split(b).0) => Some(entries),
                _ => None,
            },
            Some(_) => None,
        };
        Self { entries: entries.unwrap_or_default(), malformed: entries.is_none() }
    }

    /// The state of `subject`, 0 when it is at rest.
    pub fn get(self, subject: Subject) -> Tat {
        let found = self.entries.binary_search_by_key(&subject, |entry| split(entry).0);
        found.ok().and_then(|index| self.entries.get(index)).map_or(0, |entry| split(entry).1)
    }

    /// The value with the state of `subject` replaced and without the states at rest.
    pub fn with(self, subject: Subject, tat: Tat, now: Monotonic) -> Vec<u8> {
        let place = self.entries.partition_point(|entry| split(entry).0 < subject);
        let (before, from) = self.entries.split_at_checked(place).unwrap_or_default();
        let after = from.iter().filter(|entry| split(entry).0 != subject);
        encode(
            before.iter().map(split).chain([(subject, tat)]).chain(after.map(split)),
            self.entries.len(),
            now,
        )
    }

    /// The value without the states at rest.
    pub fn alive(self, now: Monotonic) -> Vec<u8> {
        encode(self.entries.iter().map(split), self.entries.len(), now)
    }
}

fn encode(states: impl Iterator<Item = (Subject, Tat)>, len: usize, now: Monotonic) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len.saturating_add(2).saturating_mul(ENTRY_LEN));
    for (subject, tat) in states.filter(|(_, tat)| *tat > now) {
        if bytes.is_empty() {
            bytes.push(VERSION);
        }
        bytes.extend_from_slice(&subject.0);
        bytes.extend_from_slice(&tat.to_le_bytes());
    }
    bytes
}

fn split(entry: &Entry) -> (Subject, Tat) {
    let [subject @ .., a, b, c, d, e, f, g, h] = *entry;
    (Subject(subject), u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

impl From<HostError> for Unavailable {
    fn from(_: HostError) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests;
