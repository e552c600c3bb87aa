//! The rate limiter: GCRA per limit and subject (a key or a workspace), shared by all workers of the process.
//!
//! A worker takes tokens in leases from the state in shared data ([`bucket`]) and spends them without a host call. A lease
//! doubles while it is used up within 100 ms; what is left of one after 100 ms goes back on the next tick. A lease of at
//! most burst / 4096 is spare: it is taken at once and stays for a minute, so that a key which is used now and then asks
//! shared data seldom, too. A worker with many limits in use takes no more of those.
//!
//! **Bound.** T is the emission interval (window / requests), W the number of workers, S the most tokens in a lease:
//! burst / 64, at least 1, at most 256. Shared and leased tokens together grow by one per T and shrink by one per admitted
//! request, and the shared ones are never more than the burst. Hence in any interval of length L
//!
//! > admitted ≤ burst + L / T + h, where h ≤ W · (S - 1) is what leases held when the interval began.
//!
//! A burst below 128 means S = 1, so h = 0, and up to 1000 requests a second the decisions are those of one ideal
//! GCRA whatever W is. (With several limits in a record h ≤ W · S: a token waits while another limit refuses.) A request that costs c
//! tokens takes them at once or not at all, of no limit more than its burst, and counts as c: of c tokens a lease keeps what is left of
//! it, at most S - 1, and with several limits all of them and those, so h ≤ W · (S + c - 1) with the largest c. In
//! the other direction a worker may refuse while others hold tokens: at most (W - 1) · S, for at most 100 ms and a
//! tick (spare leases, 1.6 % of the burst for 64 workers: a minute), and none is lost. A used-up limit may let a token wait: 1 ms when T is shorter than that, 5 ms when S > 1.
//!
//! **Numbers that change.** Everything here is remembered for a subject *and* the numbers that it is counted by (an
//! account, `slot.rs`), so no lease and no refusal of older numbers is found by newer ones. Numbers that are new for a
//! subject begin with what was used by all numbers of the subject together, and a request counts in all numbers that
//! are in use, that is, by which somebody took a token in the last minute ([`states`]). There is no newer and older, so
//! workers that learn of a change one after the other undo nothing, nor do two records that disagree, for good or in
//! turns. Let C be the largest burst of the numbers used in an interval of length L, T the shortest emission interval
//! of those in use in it (used in it or in the 61 s before), and h the sum over all that are used in it. Then, however
//! often numbers change, come back, or are pushed out,
//!
//! > admitted ≤ C + L / T + h.
//!
//! *Proof.* Let U be a bucket that is empty when the interval begins, takes every token that is leased, gets back what
//! goes back, and drains one per T. Claim: numbers that lease a token have at most C - U available. Given that, U never
//! exceeds C, so at most C + L / T tokens are leased and not given back, and h more were in leases before. The claim
//! holds when the interval begins, since C is at least each burst. *Draining*: what is available grows by one per
//! emission interval of the numbers, which is no faster than U drains, and ends at their burst, at most C. *A request*
//! adds to U and is taken from what is available by all numbers in use; one that has nothing left needs only U ≤ C, and
//! that holds because the numbers that leased had the token. *Going back* makes U smaller by as much as it makes
//! available. *New numbers, and those that missed a request* since they were last in use, begin with at least the
//! subject's largest sum used (or have nothing available), and that is at least U: for each moment at which an interval
//! may begin there is a sum that took every token since and drains no faster than its U (`states/sums.rs`). Numbers
//! that missed nothing have counted everything since the interval began. Nothing in this needs a set of numbers to be
//! remembered, so which of more than four is forgotten is no matter. ∎
//!
//! The bound is for all numbers together. What one set admits is within its own burst and rate as well, unless it was
//! pushed out by four others meanwhile. Tokens of old leases (at most W · S) are not spent any more and count as used
//! until they go back. A subject has at most four sets of numbers; of more the one that was in use the longest ago is
//! forgotten. What was used comes back by the fastest rate that was in use with it or later, so a rate that was
//! enforced yesterday leaves nothing behind of yesterday.
//!
//! **Failure.** Without shared data (the host fails, or a compare-and-swap is lost 16 times) each worker applies the limit
//! for itself, so admitted ≤ W · (burst + L / T) + h for that time, for each set of numbers; it is counted, and added to the
//! shared state afterwards. Lost shared data (the process restarted) is a limit at rest: one more burst. While a version of the
//! filter from before drains beside this one, both count, this one from what the other has counted by then (`version1.rs`).

pub mod bucket;
pub mod fleet;
pub mod fleet_lease;
pub mod gcra;
mod lease;
pub mod lending;
pub mod pool;
pub mod pools;
mod remaining;
mod slot;
pub mod states;
mod terms;
mod version1;
pub mod waiters;

use std::collections::HashMap;

use self::lease::{Ask, HOLD_NS, Lease};
pub use self::remaining::Remaining;
pub use self::slot::{Account, AccountHasher, MAX_LEASE, Slot};
pub use self::terms::Terms;
use self::version1::Before;
use crate::host::{Clock, Monotonic, SharedData};

/// One worker's part of the limiter.
#[derive(Debug, Default)]
pub struct Limiter {
    leases: HashMap<Account, Lease, AccountHasher>,
    /// Accounts of the last request that found no place: they leave before the next one comes in.
    guests: Vec<Account>,
    before: Before,
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

/// Most subjects that a worker remembers; 8192 places of a hash map hold them. A subject beyond them takes its tokens one
/// by one from shared data until a tick has made room, so nothing is ever evicted and no limit starts over.
pub const MAX_LEASES: usize = 7000;
/// With so many subjects a worker takes no spare tokens for the next ones: they would only have to be put back.
const MOST_WITH_SPARE: usize = MAX_LEASES / 2;
/// With so many, spare tokens are put back as early as others, to make room. What lies between the two numbers are subjects
/// that were used just now, once; they are forgotten without a host call.
const CROWDED: usize = MAX_LEASES / 4 * 3;
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
        if self.spend_all(slots, |_| 1) { Ok(()) } else { self.ask(host, slots, 1) }
    }

    /// The same for a request of this `cost`, which takes so many tokens from every slot, of none more than its burst.
    pub fn admit_for<H: SharedData + Clock>(
        &mut self,
        host: &H,
        slots: &[Slot],
        cost: u32,
    ) -> Result<(), Refusal> {
        if self.spend_all(slots, |slot| slot.need(cost)) { Ok(()) } else { self.ask(host, slots, cost) }
    }

    /// Uses the tokens of every lease, or none.
    #[inline]
    fn spend_all(&mut self, slots: &[Slot], need: impl Fn(&Slot) -> u32) -> bool {
        for (index, slot) in slots.iter().enumerate() {
            if !self.spend(slot, need(slot)) {
                slots.iter().take(index).for_each(|spent| self.unspend(spent, need(spent)));
                return false;
            }
        }
        true
    }

    /// Puts back what is not used and forgets who is at rest. To be called once per tick; bounded work.
    pub fn tick<H: SharedData + Clock>(&mut self, host: &H) {
        self.ticks = self.ticks.wrapping_add(1);
        let sweeps = self.ticks.is_multiple_of(TICKS_PER_SWEEP);
        if self.leases.is_empty() && !sweeps {
            return;
        }
        let now = host.monotonic();
        self.make_room(host, now);
        self.leases.retain(|_, lease| !lease.is_at_rest(now));
        let crowded = self.leases.len() > CROWDED;
        let due = self.leases.iter_mut().filter(|(_, lease)| lease.is_due(now, crowded));
        for (account, lease) in due.take(MAX_SETTLED_PER_TICK) {
            // After a failure the rest would fail too; the next tick tries again.
            if lease.settle(host, *account, now).is_err() {
                break;
            }
        }
        if sweeps {
            // Housekeeping only: a failure leaves the bucket to the next round.
            let _ = bucket::sweep(host, self.swept, now);
            let _ = self.before.sweep(host, self.swept, now);
            self.swept = self.swept.wrapping_add(1) % bucket::BUCKETS;
        }
    }

    /// What is left of each limit, as this worker saw it last (at most about 100 ms ago for a key in use; right after
    /// [`Self::admit`] it has seen all). A limit that it has not seen is taken to be at rest.
    pub fn remaining<'a>(&'a self, slots: &'a [Slot]) -> impl Iterator<Item = Remaining> + 'a {
        slots.iter().map(|slot| {
            let lease = self.leases.get(&slot.account);
            let (tokens, wait_ns) = lease.map_or_else(|| (slot.account.quota.burst(), 0), Lease::remaining);
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
    fn ask<H: SharedData + Clock>(&mut self, host: &H, slots: &[Slot], cost: u32) -> Result<(), Refusal> {
        let now = host.monotonic();
        let refusal = self.standing_refusal(slots, now, cost).or_else(|| {
            self.make_room(host, now);
            self.refill(host, slots, now, cost)
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        for slot in slots {
            self.spend(slot, slot.need(cost));
        }
        Ok(())
    }

    /// The longest refusal that is still believed.
    fn standing_refusal(&self, slots: &[Slot], now: Monotonic, cost: u32) -> Option<Refusal> {
        let standing = slots.iter().enumerate().filter_map(|(slot, known)| {
            let retry_after_ns = self.leases.get(&known.account)?.refused_ns(now, known.need(cost))?;
            Some(Refusal { slot, retry_after_ns })
        });
        standing.max_by_key(|refusal| refusal.retry_after_ns)
    }

    /// Gets what a request of this cost needs into the lease of every slot, or the longest refusal. After the first refusal nothing more is
    /// taken, but the other limits are looked at, or `Retry-After` would not be true.
    fn refill<H: SharedData>(
        &mut self,
        host: &H,
        slots: &[Slot],
        now: Monotonic,
        cost: u32,
    ) -> Option<Refusal> {
        let mut worst: Option<Refusal> = None;
        for (index, slot) in slots.iter().enumerate() {
            let ask = if worst.is_none() { Ask::Take } else { Ask::Look };
            let wait = self.refill_one(host, slot, now, (ask, slot.need(cost)));
            let longest = worst.map_or(0, |refusal| refusal.retry_after_ns);
            if let Some(retry_after_ns) = wait.filter(|wait| *wait > longest) {
                worst = Some(Refusal { slot: index, retry_after_ns });
            }
        }
        worst
    }

    /// Gets so many tokens into the lease of one slot, or the nanoseconds to wait.
    fn refill_one<H: SharedData>(
        &mut self,
        host: &H,
        slot: &Slot,
        now: Monotonic,
        (ask, need): (Ask, u32),
    ) -> Option<u64> {
        if self.leases.len() >= MAX_LEASES && !self.leases.contains_key(&slot.account) {
            self.guests.push(slot.account);
        }
        let spares = self.leases.len() < MOST_WITH_SPARE;
        let lease = self.leases.entry(slot.account).or_insert_with(|| Lease::new(slot, spares));
        if lease.has_tokens(need) {
            return None;
        }
        match lease.refill(host, slot, now, (ask, need), &mut self.before) {
            Ok(wait) => wait,
            Err(_) if ask == Ask::Look => None,
            Err(_) => self.fall_back(slot, now, need),
        }
    }

    /// Uses so many tokens of a limit's lease; false when it has fewer.
    #[inline]
    pub fn spend(&mut self, slot: &Slot, need: u32) -> bool {
        self.leases.get_mut(&slot.account).is_some_and(|lease| lease.spend(need))
    }

    /// Undoes [`Self::spend`].
    pub fn unspend(&mut self, slot: &Slot, need: u32) {
        if let Some(lease) = self.leases.get_mut(&slot.account) {
            lease.unspend(need);
        }
    }

    /// Gets what a request of this cost needs into the lease of one limit, or the nanoseconds to wait; with `takes` off it only looks. For
    /// who decides by several limiters, and calls [`Self::make_room`] first.
    pub fn refill_for<H: SharedData>(
        &mut self,
        host: &H,
        slot: &Slot,
        now: Monotonic,
        (takes, cost): (bool, u32),
    ) -> Option<u64> {
        let need = slot.need(cost);
        let standing = self.leases.get(&slot.account).and_then(|lease| lease.refused_ns(now, need));
        let ask = if takes { Ask::Take } else { Ask::Look };
        standing.or_else(|| self.refill_one(host, slot, now, (ask, need)))
    }

    /// Decides without shared data. A subject for which there is no room waits: with nothing to remember it by it would be
    /// unlimited.
    fn fall_back(&mut self, slot: &Slot, now: Monotonic, need: u32) -> Option<u64> {
        self.fallbacks = self.fallbacks.saturating_add(1);
        if self.guests.contains(&slot.account) {
            return Some(HOLD_NS);
        }
        self.leases.get_mut(&slot.account).and_then(|lease| lease.lend(slot, now, need))
    }

    /// Makes the map as small again as it may be. A token that cannot be put back is lost; debts guests have none.
    pub fn make_room<H: SharedData>(&mut self, host: &H, now: Monotonic) {
        for account in self.guests.drain(..) {
            if let Some(mut guest) = self.leases.remove(&account)
                && guest.has_tokens(1)
            {
                let _ = guest.settle(host, account, now);
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
