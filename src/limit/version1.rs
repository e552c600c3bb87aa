//! What workers of the version before have counted: two versions share shared data while connections of the old one drain.
//! It kept states under `flamegate/limits/<bucket>`, without the numbers that they were counted by: a version byte and 24-byte
//! entries sorted by subject, subject (16) and TAT (8, little-endian).
//!
//! A subject without a state of its own begins with what is there, read under its own numbers. Nothing is written there but the
//! removal of what is at rest: the old workers go on with their own count, and do not see what the new ones admit. A
//! bucket in which nothing was left is not read again, so this costs a worker one read per bucket and not one per lease.
//! Can go one release after the one that brought it.

use super::bucket::{self, BUCKETS, Unavailable};
use super::gcra::Tat;
use super::slot::{Slot, Subject};
use crate::host::{Monotonic, SharedData};

/// Which of the old buckets may still hold something.
#[derive(Debug)]
pub struct Before {
    is_done: Vec<bool>,
}

type Entry = [u8; 24];

const VERSION: u8 = 1;

impl Default for Before {
    fn default() -> Self {
        Self { is_done: vec![false; usize::from(BUCKETS)] }
    }
}

impl Before {
    /// The old state of a limit, 0 when it is at rest. One further ahead than this limit can be was counted by other
    /// numbers, nobody knows by which, and is left out: it would refuse by them.
    pub fn tat<H: SharedData>(&mut self, host: &H, slot: &Slot, now: Monotonic) -> Result<Tat, Unavailable> {
        let tat = self.look(host, slot.before, now)?;
        Ok(if slot.account.quota.is_too_far_ahead(tat, now) { 0 } else { tat })
    }

    fn look<H: SharedData>(
        &mut self,
        host: &H,
        subject: Subject,
        now: Monotonic,
    ) -> Result<Tat, Unavailable> {
        let number = subject.bucket();
        let Some(is_done) = self.is_done.get_mut(usize::from(number)).filter(|is_done| !**is_done) else {
            return Ok(0);
        };
        let (bytes, _) = bucket::read(host, &key(number))?;
        let entries = parse(&bytes);
        *is_done = entries.iter().all(|entry| split(entry).1 <= now);
        let found = entries.binary_search_by_key(&subject, |entry| split(entry).0);
        Ok(found.ok().and_then(|index| entries.get(index)).map_or(0, |entry| split(entry).1))
    }

    /// Empties one old bucket in which all is at rest: nobody else does once the old workers are gone.
    pub fn sweep<H: SharedData>(&mut self, host: &H, number: u16, now: Monotonic) -> Result<(), Unavailable> {
        let Some(is_done) = self.is_done.get_mut(usize::from(number)).filter(|is_done| !**is_done) else {
            return Ok(());
        };
        let key = key(number);
        let (bytes, expect) = bucket::read(host, &key)?;
        *is_done = parse(&bytes).iter().all(|entry| split(entry).1 <= now);
        if *is_done && !bytes.is_empty() {
            host.write(&key, &[], expect)?;
        }
        Ok(())
    }
}

fn key(bucket: u16) -> String {
    format!("flamegate/limits/{bucket}")
}

/// Bytes that are no such bucket hold nothing.
fn parse(bytes: &[u8]) -> &[Entry] {
    match bytes.split_first() {
        Some((&VERSION, body)) => body.as_chunks().0,
        _ => &[],
    }
}

fn split(entry: &Entry) -> (Subject, Tat) {
    let [subject @ .., a, b, c, d, e, f, g, h] = *entry;
    (Subject(subject), u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

#[cfg(test)]
mod tests;
