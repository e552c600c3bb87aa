//! Who is alive and what they enforce: each worker notes the sequence it is at, so that the sync can acknowledge a revision
//! only when it is enforced everywhere.
//!
//! Several versions of the filter share one process while it is upgraded. Which protocol of the sync a worker understands stands in its
//! name, since a line has no other place that an older version would leave alone.
//!
//! One shared-data key holds all workers. An entry that was not renewed for [`DEAD_AFTER_NS`] belongs to a VM that
//! trapped or was replaced: it is skipped, and the next writer drops it.

use crate::bytes::Reader;
use crate::contract::protocol::Protocol;
use crate::host::{Expect, HostError, Monotonic, SharedData, Write};

/// Shared-data key of the roster.
pub const ROSTER_KEY: &str = "flamegate/workers";
/// A worker that was silent for this long no longer counts, in nanoseconds.
pub const DEAD_AFTER_NS: u64 = 2_000_000_000;
/// A worker whose position did not change says so again after this time, in nanoseconds.
const RENEW_NS: u64 = 500_000_000;
const ATTEMPTS: u32 = 8;
const VERSION: u8 = 1;

/// (incarnation, sequence) of the table.
pub type Position = (u64, u64);

/// One worker's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Random name of the worker's VM, see [`name`].
    pub worker: u64,
    /// What it enforces; (0, 0) for a worker that has no table.
    pub position: Position,
    /// When it last said so.
    pub seen: Monotonic,
}

/// A worker's own view of its line in the roster.
#[derive(Debug)]
pub struct Presence {
    worker: u64,
    announced: Option<(Position, Monotonic)>,
}

/// The first three bytes of the name of a worker that understands protocol 2. One that does not has them once in 17 million, and cannot
/// decode then what it does not understand.
const UNDERSTANDS_TWO: u64 = 0x00F1_A6E2 << 40;
const PROTOCOL: u64 = 0x00FF_FFFF << 40;

/// The name of a worker of this version, from a random number.
pub const fn name(random: u64) -> u64 {
    random & !PROTOCOL | UNDERSTANDS_TWO
}

/// The protocol that every live worker understands.
pub fn understood(roster: &[Entry], now: Monotonic) -> Protocol {
    let is_old = |entry: &Entry| {
        now.saturating_sub(entry.seen) < DEAD_AFTER_NS && entry.worker & PROTOCOL != UNDERSTANDS_TWO
    };
    if roster.iter().any(is_old) { Protocol::One } else { Protocol::Two }
}

impl Presence {
    /// A worker that has not announced itself yet.
    pub const fn new(worker: u64) -> Self {
        Self { worker, announced: None }
    }

    /// The worker's name in the roster.
    pub const fn worker(&self) -> u64 {
        self.worker
    }

    /// Notes the position when it changed or when the last note is old. Best effort: what fails now is tried again at
    /// the next tick, and until then the sync waits.
    pub fn announce<H: SharedData>(&mut self, host: &H, position: Position, now: Monotonic) {
        let fresh =
            |(noted, at): (Position, Monotonic)| noted == position && now.saturating_sub(at) < RENEW_NS;
        if self.announced.is_some_and(fresh) {
            return;
        }
        let line = Entry { worker: self.worker, position, seen: now };
        self.announced = match write_line(host, line) {
            Ok(Write::Stored) => Some((position, now)),
            Ok(Write::Conflict) | Err(_) => None,
        };
    }
}

impl Presence {
    /// Removes the line. Best effort: a line that stays is dead after [`DEAD_AFTER_NS`].
    pub fn leave<H: SharedData>(&mut self, host: &H) {
        for _ in 0..ATTEMPTS {
            let Ok(Some(stored)) = host.read(ROSTER_KEY) else { return };
            let Some(mut roster) = decode(&stored.bytes) else { return };
            roster.retain(|entry| entry.worker != self.worker);
            if host.write(ROSTER_KEY, &encode(&roster), Expect::Version(stored.cas)) != Ok(Write::Conflict) {
                return;
            }
        }
    }
}

/// Reads all lines, of dead workers too.
pub fn read<H: SharedData>(host: &H) -> Result<Vec<Entry>, HostError> {
    Ok(host.read(ROSTER_KEY)?.and_then(|stored| decode(&stored.bytes)).unwrap_or_default())
}

/// True when every live worker enforces `position` or something later of the same incarnation.
pub fn all_enforce(roster: &[Entry], position: Position, now: Monotonic) -> bool {
    let (incarnation, sequence) = position;
    let live = |entry: &&Entry| now.saturating_sub(entry.seen) < DEAD_AFTER_NS;
    roster.iter().filter(live).all(|entry| entry.position.0 == incarnation && entry.position.1 >= sequence)
}

/// How many live workers have the table of `incarnation`.
pub fn count_with_table(roster: &[Entry], incarnation: u64, now: Monotonic) -> u32 {
    let serves =
        |entry: &&Entry| entry.position.0 == incarnation && now.saturating_sub(entry.seen) < DEAD_AFTER_NS;
    u32::try_from(roster.iter().filter(serves).count()).unwrap_or(u32::MAX)
}

fn write_line<H: SharedData>(host: &H, line: Entry) -> Result<Write, HostError> {
    for _ in 0..ATTEMPTS {
        let stored = host.read(ROSTER_KEY)?;
        let mut roster = stored.as_ref().and_then(|stored| decode(&stored.bytes)).unwrap_or_default();
        let alive = |entry: &Entry| line.seen.saturating_sub(entry.seen) < DEAD_AFTER_NS;
        roster.retain(|entry| entry.worker != line.worker && alive(entry));
        roster.push(line);
        let expect = stored.as_ref().map_or(Expect::Absent, |stored| Expect::Version(stored.cas));
        if host.write(ROSTER_KEY, &encode(&roster), expect)? == Write::Stored {
            return Ok(Write::Stored);
        }
    }
    Ok(Write::Conflict)
}

fn encode(roster: &[Entry]) -> Vec<u8> {
    let mut out = vec![VERSION];
    for entry in roster {
        for number in [entry.worker, entry.position.0, entry.position.1, entry.seen] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    out
}

fn decode(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != VERSION {
        return None;
    }
    let mut roster = Vec::new();
    while reader.end().is_none() {
        let (worker, incarnation, sequence, seen) =
            (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
        roster.push(Entry { worker, position: (incarnation, sequence), seen });
    }
    Some(roster)
}

#[cfg(test)]
mod tests;
