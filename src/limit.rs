//! The rate limiter: GCRA per limit and subject (a key or a workspace), shared by all workers of the process.
//!
//! A worker takes tokens in leases from the state in shared data ([`bucket`]) and spends them without a host call. A lease
//! doubles while it is used up within 100 ms; what is left of one after 100 ms goes back on the next tick. A lease of at
//! most burst / 4096 is spare: it is taken at once and stays for a minute, so that a key which is used now and then asks
//! shared data seldom, too.
//!
//! **Bound.** T is the emission interval (window / requests), W the number of workers, S the most tokens in a lease:
//! burst / 64, at least 1, at most 256. Shared and leased tokens together grow by one per T and shrink by one per admitted
//! request, and the shared ones are never more than the burst. Hence in any interval of length L
//!
//! > admitted ≤ burst + L / T + h, where h ≤ W · (S - 1) is what leases held when the interval began.
//!
//! A burst below 128 means S = 1, so h = 0, and up to 1000 requests a second the decisions are those of one ideal
//! GCRA whatever W is. (With several limits in a record h ≤ W · S: a token waits while another limit refuses.) In
//! the other direction a worker may refuse while others hold tokens: at most (W - 1) · S, for at most 100 ms and a
//! tick (spare leases, 1.6 % of the burst for 64 workers: a minute), and none is lost. A used-up limit may let a token wait: 1 ms when T is shorter than that, 5 ms when S > 1.
//!
//! **Failure.** Without shared data (the host fails, or a compare-and-swap is lost 16 times) each worker applies the limit
//! for itself, so admitted ≤ W · (burst + L / T) + h for that time; it is counted, and added to the shared state
//! afterwards. Lost shared data (the process restarted) is a limit at rest: one more burst.

pub mod bucket;
pub mod gcra;
mod lease;
mod slot;

use std::collections::HashMap;

use self::lease::{Ask, HOLD_NS, Lease};
pub use self::slot::{MAX_LEASE, Slot};
use self::slot::{Subject, SubjectHasher};
use crate::host::{Clock, Monotonic, SharedData};

/// One worker's part of the limiter.
#[derive(Debug, Default)]
pub struct Limiter {
    leases: HashMap<Subject, Lease, SubjectHasher>,
    /// Subjects of the last request that found no place: they leave before the next one comes in.
    guests: Vec<Subject>,
    fallbacks: u64,
    ticks: u16,
    swept: u16,
}

/// A limit has no token for this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which of the slots refused; the one with the longest wait when several did.
    pub slot: usize,
    /// A request sent this much later is admitted, unless others take the tokens first.
    pub retry_after_ns: u64,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Requests that would be admitted now.
    pub tokens: u64,
    /// Whole seconds, rounded up, until the limit is at rest or, when nothing is left, until the next request is admitted.
    pub reset_seconds: u64,
}

/// Most subjects that a worker remembers; 8192 places of a hash map hold them. A subject beyond them takes its tokens one
/// by one from shared data until a tick has made room, so nothing is ever evicted and no limit starts over.
pub const MAX_LEASES: usize = 7000;
/// Most leases put back per tick: each costs about as much as two or three requests.
const MAX_SETTLED_PER_TICK: usize = 32;
/// Each worker looks for states at rest in one bucket every so many ticks.
const TICKS_PER_SWEEP: u16 = 32;

impl Limiter {
    /// Knows nobody.
    pub fn new() -> Self {
        // Workers start their sweeps at different buckets.
        let random = crate::host::random_u64().to_le_bytes();
        Self { swept: u16::from_le_bytes([random[0], random[1]]) % bucket::BUCKETS, ..Self::default() }
    }

    /// Takes one token from every slot, or none. No host call while leases last; one clock reading while a refusal
    /// stands; otherwise shared data is asked for each slot without a token.
    pub fn admit<H: SharedData + Clock>(&mut self, host: &H, slots: &[Slot]) -> Result<(), Refusal> {
        for (index, slot) in slots.iter().enumerate() {
            if !self.leases.get_mut(&slot.subject).is_some_and(Lease::spend) {
                for spent in slots.iter().take(index) {
                    self.leases.get_mut(&spent.subject).map(Lease::unspend);
                }
                return self.ask(host, slots);
            }
        }
        Ok(())
    }

    /// Puts back what is not used and forgets who is at rest. To be called once per tick; bounded work.
    pub fn tick<H: SharedData + Clock>(&mut self, host: &H) {
        self.ticks = self.ticks.wrapping_add(1);
        let sweeps = self.ticks.is_multiple_of(TICKS_PER_SWEEP);
        if self.leases.is_empty() && !sweeps {
            return;
        }
        let now = host.monotonic();
        self.send_guests_away(host, now);
        self.leases.retain(|_, lease| !lease.is_at_rest(now));
        let crowded = self.leases.len() > MAX_LEASES / 2;
        let due = self.leases.iter_mut().filter(|(_, lease)| lease.is_due(now, crowded));
        for (subject, lease) in due.take(MAX_SETTLED_PER_TICK) {
            // After a failure the rest would fail too; the next tick tries again.
            if lease.settle(host, *subject, now).is_err() {
                break;
            }
        }
        if sweeps {
            // Housekeeping only: a failure leaves the bucket to the next round.
            let _ = bucket::sweep(host, self.swept, now);
            self.swept = self.swept.wrapping_add(1) % bucket::BUCKETS;
        }
    }

    /// What is left of each limit, as this worker saw it last (at most about 100 ms ago for a key in use; right after
    /// [`Self::admit`] it has seen all). A limit that it has not seen is taken to be at rest.
    pub fn remaining<'a>(&'a self, slots: &'a [Slot]) -> impl Iterator<Item = Remaining> + 'a {
        slots.iter().map(|slot| {
            let lease = self.leases.get(&slot.subject);
            let (tokens, wait_ns) = lease.map_or_else(|| (slot.quota.burst(), 0), Lease::remaining);
            Remaining { tokens, reset_seconds: seconds_up(wait_ns) }
        })
    }

    /// Decisions that this worker took without shared data since the last call.
    pub fn take_fallbacks(&mut self) -> u64 {
        std::mem::take(&mut self.fallbacks)
    }

    /// Number of subjects that this worker remembers, at most [`MAX_LEASES`] and the limits of one request.
    pub fn subjects(&self) -> usize {
        self.leases.len()
    }

    #[cold]
    fn ask<H: SharedData + Clock>(&mut self, host: &H, slots: &[Slot]) -> Result<(), Refusal> {
        let now = host.monotonic();
        let refusal = self.standing_refusal(slots, now).or_else(|| {
            self.send_guests_away(host, now);
            self.refill(host, slots, now)
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        for slot in slots {
            self.leases.get_mut(&slot.subject).map(Lease::spend);
        }
        Ok(())
    }

    /// The longest refusal that is still believed.
    fn standing_refusal(&self, slots: &[Slot], now: Monotonic) -> Option<Refusal> {
        let standing = slots.iter().enumerate().filter_map(|(slot, known)| {
            let retry_after_ns = self.leases.get(&known.subject)?.refused_ns(now)?;
            Some(Refusal { slot, retry_after_ns })
        });
        standing.max_by_key(|refusal| refusal.retry_after_ns)
    }

    /// Gets a token into the lease of every slot, or the longest refusal. After the first refusal nothing more is taken,
    /// but the other limits are looked at, or `Retry-After` would not be true.
    fn refill<H: SharedData>(&mut self, host: &H, slots: &[Slot], now: Monotonic) -> Option<Refusal> {
        let mut worst: Option<Refusal> = None;
        for (index, slot) in slots.iter().enumerate() {
            if self.leases.len() >= MAX_LEASES && !self.leases.contains_key(&slot.subject) {
                self.guests.push(slot.subject);
            }
            let lease = self.leases.entry(slot.subject).or_insert_with(|| Lease::new(slot));
            if lease.has_tokens() {
                continue;
            }
            let ask = if worst.is_none() { Ask::Take } else { Ask::Look };
            let wait = match lease.refill(host, slot, now, ask) {
                Ok(wait) => wait,
                Err(_) if ask == Ask::Look => None,
                Err(_) => self.fall_back(slot, now),
            };
            let longest = worst.map_or(0, |refusal| refusal.retry_after_ns);
            if let Some(retry_after_ns) = wait.filter(|wait| *wait > longest) {
                worst = Some(Refusal { slot: index, retry_after_ns });
            }
        }
        worst
    }

    /// Decides without shared data. A subject for which there is no room waits: with nothing to remember it by it would be
    /// unlimited.
    fn fall_back(&mut self, slot: &Slot, now: Monotonic) -> Option<u64> {
        self.fallbacks = self.fallbacks.saturating_add(1);
        if self.guests.contains(&slot.subject) {
            return Some(HOLD_NS);
        }
        self.leases.get_mut(&slot.subject).and_then(|lease| lease.lend(slot, now))
    }

    /// Makes the map as small again as it may be. A token that cannot be put back is lost; debts guests have none.
    fn send_guests_away<H: SharedData>(&mut self, host: &H, now: Monotonic) {
        for subject in self.guests.drain(..) {
            if let Some(mut guest) = self.leases.remove(&subject)
                && guest.has_tokens()
            {
                let _ = guest.settle(host, subject, now);
            }
        }
    }
}

impl Refusal {
    /// Value of `Retry-After`: whole seconds, rounded up, at least 1.
    pub const fn retry_after_seconds(&self) -> u64 {
        let seconds = seconds_up(self.retry_after_ns);
        if seconds == 0 { 1 } else { seconds }
    }
}

const fn seconds_up(ns: u64) -> u64 {
    ns.div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests;
