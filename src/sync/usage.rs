//! Posts what the keys were used for. What the workers have handed over is put together every ten seconds and becomes a post with
//! the next number. The post lies in shared data until it is acknowledged, and is repeated byte for byte, by whoever holds the lease
//! then; the control plane counts each number of a session once. While there is no acknowledgement, the rest waits in the workers'
//! cells, which have a bound of their own.
//!
//! Nothing of it is worth a line in the log: counters tell.

use std::collections::BTreeMap;

use crate::bytes::Reader;
use crate::contract::page::WireHash;
use crate::contract::usage::{
    Count, MAX_COUNTS, MAX_REASON_COUNTS, MAX_REFUSED, ReasonCount, Refused, Shadowed, UsageAnswer,
    UsageOutcome, UsagePost,
};
use crate::decision::metrics::{Counter, Counts};
use crate::host::{Expect, HostError, Monotonic, SharedData, Write, random_u64};
use crate::worker::usage::{Bag, CELLS, CountKey, SHADOW_CELL, Tally, append, append_to, make_cells, take};

use super::failure::{Failure, Kind};

/// Shared-data key of the post that is not acknowledged, or of the number of the last one that was.
pub const PENDING_KEY: &str = "flamegate/usage/pending";
/// Time between two posts, in nanoseconds; the first of a leader comes at any time within it, so that a fleet does not post in one
/// wave.
pub const PERIOD_NS: u64 = 10_000_000_000;
/// Longest pause after failures.
const MOST_PAUSE_NS: u64 = 60_000_000_000;
/// When a control plane that does not know the path is asked again.
pub const NO_SUCH_PATH_NS: u64 = 600_000_000_000;
/// Time that a post may take, in milliseconds.
pub const ANSWER_MS: u32 = 15_000;
/// A call of which the host said nothing more is over then.
const LOST_NS: u64 = 40_000_000_000;
const VERSION: u8 = 1;

/// A leader's side of it.
#[derive(Debug)]
pub struct Poster {
    gateway: String,
    due: Monotonic,
    /// The call that is out, and since when.
    call: Option<(u32, Monotonic)>,
    failures: u32,
    /// There was more than fits into one post.
    has_more: bool,
    /// What was taken and could not be put back.
    rest: Bag,
}

/// What lies in shared data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pending {
    /// The number of the post, or of the last one.
    sequence: u64,
    /// The post; empty when it is acknowledged.
    body: Vec<u8>,
}

impl Poster {
    /// Begins to lead, and makes the cells that workers need.
    pub fn new<H: SharedData>(host: &H, gateway: String, now: Monotonic) -> Self {
        // What is missing is made before the next post.
        let _ = make_cells(host);
        let wait = random_u64().checked_rem(PERIOD_NS).unwrap_or(0);
        let (due, rest) = (now.saturating_add(wait), Bag::default());
        Self { gateway, due, call: None, failures: 0, has_more: false, rest }
    }

    /// True when this is the call that is out.
    pub fn waits_for(&self, call: u32) -> bool {
        self.call.is_some_and(|(number, _)| number == call)
    }

    /// Posts when it is time and nothing is out.
    pub fn tick<H: SharedData>(
        &mut self,
        host: &H,
        now: Monotonic,
        counts: &mut Counts,
        send: impl FnOnce(&[u8]) -> Result<u32, HostError>,
    ) {
        if self.call.is_some_and(|(_, since)| now.saturating_sub(since) >= LOST_NS) {
            self.call = None;
            self.failed(now, counts);
        }
        if self.call.is_some() || now < self.due {
            return;
        }
        self.due = now.saturating_add(PERIOD_NS);
        let Ok(Some(body)) = self.next(host) else { return };
        match send(&body) {
            Ok(call) => self.call = Some((call, now)),
            Err(_) => self.failed(now, counts),
        }
    }

    /// What came of the call that is out.
    pub fn answered<H: SharedData>(
        &mut self,
        host: &H,
        answer: Result<&[u8], Failure>,
        now: Monotonic,
        counts: &mut Counts,
    ) {
        self.call = None;
        let Ok(pending) = Pending::read(host) else { return self.failed(now, counts) };
        let sequence = match answer {
            Ok(body) => UsageAnswer::parse(body).ok().map(|answer| answer.sequence),
            // It would be rejected for ever; its counts are lost.
            Err(Failure { kind: Kind::Rejected, .. }) => {
                self.failed(now, counts);
                Some(pending.sequence)
            }
            Err(Failure { kind: Kind::NoSuchPath, .. }) => {
                self.failed(now, counts);
                self.due = now.saturating_add(NO_SUCH_PATH_NS);
                return;
            }
            Err(_) => None,
        };
        let Some(sequence) = sequence.filter(|sequence| *sequence >= pending.sequence) else {
            return self.failed(now, counts);
        };
        counts.increment(Counter::UsagePosts);
        self.failures = 0;
        // Where this fails the same post comes again, and is counted no more.
        let written = Pending { sequence, body: Vec::new() }.write(host);
        if written.is_ok() && self.has_more {
            self.due = now;
        }
    }

    /// The post that is not acknowledged, or the next one; `None` when there is nothing to post.
    fn next<H: SharedData>(&mut self, host: &H) -> Result<Option<Vec<u8>>, HostError> {
        let pending = Pending::read(host)?;
        if !pending.body.is_empty() {
            return Ok(Some(pending.body));
        }
        make_cells(host)?;
        let mut bag = std::mem::take(&mut self.rest);
        for cell in 0..CELLS {
            // What cannot be taken stays where it is.
            let _ = take(host, cell, &mut bag);
            if bag.counts.len() >= MAX_COUNTS {
                break;
            }
        }
        let _ = take(host, SHADOW_CELL, &mut bag);
        if bag.is_empty() {
            return Ok(None);
        }
        let rest = bag.split_off(MAX_COUNTS);
        self.has_more = bag.counts.len() >= MAX_COUNTS || !rest.is_empty();
        bag.keep_refused(MAX_REFUSED);
        bag.keep_reasons(MAX_REASON_COUNTS);
        self.put_back(host, rest);
        let sequence = pending.sequence.saturating_add(1);
        let body = serde_json::to_vec(&post(&self.gateway, sequence, &bag)).unwrap_or_default();
        let pending = Pending { sequence, body };
        match pending.write(host) {
            Ok(()) => Ok(Some(pending.body)),
            Err(error) => {
                let mut all = Vec::new();
                bag.encode(&mut all);
                bag.encode_shadow(&mut all);
                self.rest.add(&all);
                Err(error)
            }
        }
    }

    /// Leaves what is too much for one post to the next.
    fn put_back<H: SharedData>(&mut self, host: &H, mut rest: Bag) {
        let (mut entries, mut shadow) = (Vec::new(), Vec::new());
        rest.encode(&mut entries);
        rest.encode_shadow(&mut shadow);
        if entries.is_empty() || append(host, 0, &entries) == Ok(Write::Stored) {
            (rest.counts, rest.refused) = Default::default();
        }
        if shadow.is_empty() || append_to(host, SHADOW_CELL, &shadow) == Ok(Write::Stored) {
            (rest.shadow, rest.reasons) = Default::default();
        }
        self.rest = rest;
    }

    fn failed(&mut self, now: Monotonic, counts: &mut Counts) {
        counts.increment(Counter::UsageFailures);
        let pause = PERIOD_NS.checked_shl(self.failures.min(3)).unwrap_or(MOST_PAUSE_NS).min(MOST_PAUSE_NS);
        self.failures = self.failures.saturating_add(1);
        let jitter = random_u64().checked_rem(PERIOD_NS / 10).unwrap_or(0);
        self.due = now.saturating_add(pause).saturating_add(jitter);
    }
}

fn post(gateway: &str, sequence: u64, bag: &Bag) -> UsagePost {
    let refused = bag.refused.iter().map(|((minute, hash, environment), requests)| Refused {
        hash: WireHash(*hash),
        minute: u64::from(*minute),
        requests: *requests,
        environment: *environment,
    });
    let reasons = bag.reasons.iter().map(|((minute, reason), tally)| ReasonCount {
        reason: reason.clone(),
        minute: u64::from(*minute),
        requests: tally.first().copied().unwrap_or_default(),
    });
    UsagePost {
        gateway: gateway.to_owned(),
        sequence,
        counts: counts(&bag.counts),
        refused: refused.collect(),
        shadow: Shadowed { keys: counts(&bag.shadow), reasons: reasons.collect() },
    }
}

fn counts(tallies: &BTreeMap<CountKey, Tally>) -> Vec<Count> {
    let mut counts = Vec::new();
    for ((minute, id), tally) in tallies {
        let of_key = UsageOutcome::ALL.into_iter().zip(tally).filter(|(_, requests)| **requests > 0);
        counts.extend(of_key.map(|(outcome, requests)| Count {
            key_id: id.clone(),
            outcome,
            minute: u64::from(*minute),
            requests: *requests,
        }));
    }
    counts
}

impl Pending {
    /// Nothing was ever posted where nothing lies, or what nobody knows.
    fn read<H: SharedData>(host: &H) -> Result<Self, HostError> {
        let stored = host.read(PENDING_KEY)?;
        Ok(stored.and_then(|stored| Self::decode(&stored.bytes)).unwrap_or_default())
    }

    /// Only who holds the lease writes here.
    fn write<H: SharedData>(&self, host: &H) -> Result<(), HostError> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.body);
        host.write(PENDING_KEY, &bytes, Expect::Any).map(drop)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        let sequence = reader.u64()?;
        Some(Self { sequence, body: bytes.get(HEADER..)?.to_vec() })
    }
}

/// Bytes before the body.
const HEADER: usize = 9;

#[cfg(test)]
mod tests;
