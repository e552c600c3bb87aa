//! One worker's part of the fleet's limits: tokens that it has taken from the pools of its process ([`super::lending`]) and spends without
//! a host call, and what it has to tell of them ([`super::fleet_lease`]).
//!
//! **Ends.** A token is not used when its lease may be over. To read a clock for every request costs too much (1,400 instructions), so tokens
//! that end within 0.15 s are dropped whenever the clocks are read, on every tick; those that end within 0.45 s are used by requests that read
//! them; and the others only while the wall clock, which every eighth request asks, is less than 0.15 s ahead. It is the wall clock that also shows
//! that the machine slept. A thread that stood still for more than 0.3 s, between a tick and a request, may use seven tokens before it sees that.
//!
//! **All or none.** A token that was taken for a request that another limit refuses stays in the lease for the next one.

use std::collections::HashMap;

use super::fleet_lease::{ALONE_WAIT_NS, Lease, MARGIN_NS};
pub use super::fleet_lease::{Answer, Ask};
use super::lending::Lending;
use super::remaining::Remaining;
use super::slot::{Account, AccountHasher, Slot};
use crate::host::{Clock, Monotonic, Now, SharedData, WallClock};

/// The fleet's limits of one worker.
#[derive(Debug, Default)]
pub struct Fleet {
    leases: HashMap<Account, Lease, AccountHasher>,
    /// Requests that are decided before the wall clock is asked again.
    unchecked: u8,
    /// The wall clock when the leases were last looked through.
    seen: WallClock,
    /// How lending goes, and when that was read.
    lending: Option<(Lending, Monotonic)>,
    alone: u64,
    refused_while_held: u64,
}

/// How old what is known of lending may be, in nanoseconds.
const KNOWN_NS: u64 = 50_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// Requests between two looks at the wall clock.
const UNCHECKED: u8 = 7;
/// Most accounts that a worker remembers; a request of one beyond them is refused like one that nothing can be lent for.
const MAX_LEASES: usize = 4_096;
/// Most leases settled per tick: each costs about as much as two or three requests.
const MAX_SETTLED_PER_TICK: usize = 32;

impl Fleet {
    /// Makes sure that no token is used that has ended.
    #[inline]
    pub fn check<H: Clock>(&mut self, host: &H) {
        if let Some(unchecked) = self.unchecked.checked_sub(1) {
            self.unchecked = unchecked;
        } else {
            self.check_clock(host);
        }
    }

    fn check_clock<H: Clock>(&mut self, host: &H) {
        let since = host.wall().checked_sub(self.seen);
        if since.is_none_or(|since| since >= MARGIN_NS) {
            self.drop_ended(host.now());
        }
        self.unchecked = UNCHECKED;
    }

    /// Uses so many tokens of the account; false when there are fewer that may be used without a look at the clocks. `alone` is asked while nothing
    /// can be lent.
    #[inline]
    pub fn spend(&mut self, slot: &Slot, need: u32, alone: impl FnOnce() -> bool) -> bool {
        self.spend_by(slot, need, alone, Lease::spend)
    }

    /// The same right after [`Self::refill`]; false when there are fewer.
    pub fn spend_now(&mut self, slot: &Slot, need: u32, alone: impl FnOnce() -> bool) -> bool {
        self.spend_by(slot, need, alone, Lease::spend_now)
    }

    #[inline]
    fn spend_by(
        &mut self,
        slot: &Slot,
        need: u32,
        alone: impl FnOnce() -> bool,
        spend: impl FnOnce(&mut Lease, u32) -> bool,
    ) -> bool {
        match self.leases.get_mut(&slot.account) {
            Some(lease) if lease.is_alone => {
                let admitted = alone();
                lease.alone = lease.alone.saturating_add(if admitted { need } else { 0 });
                admitted
            }
            Some(lease) => spend(lease, need),
            None => false,
        }
    }

    /// Undoes [`Self::spend`]. True when it was the gateway's own limiter that had admitted it.
    pub fn unspend(&mut self, slot: &Slot, need: u32) -> bool {
        let Some(lease) = self.leases.get_mut(&slot.account) else { return false };
        if lease.is_alone {
            lease.alone = lease.alone.saturating_sub(need);
        } else {
            lease.lent.tokens = lease.lent.tokens.saturating_add(need);
            lease.spent = lease.spent.saturating_sub(need);
        }
        lease.is_alone
    }

    /// Gets what a request of this `cost` needs into the account's lease.
    pub fn refill<H: SharedData>(
        &mut self,
        host: &H,
        slot: &Slot,
        now: Now,
        (ask, cost): (Ask, u32),
    ) -> Answer {
        let need = slot.need(cost);
        let Some(terms) = &slot.fleet else { return Answer::Alone };
        let lending = self.lending(host, now.monotonic);
        if self.leases.len() >= MAX_LEASES && !self.leases.contains_key(&slot.account) {
            return Answer::Refused(ALONE_WAIT_NS);
        }
        let lease = self.leases.entry(slot.account).or_default();
        lease.used_at = now.monotonic;
        lease.look(now);
        if lease.lent.tokens >= need {
            return Answer::Token;
        }
        let Some(lending) = lending.filter(|lending| lending.is_alive(now.monotonic)) else {
            return lease.go_alone(host, (slot, terms), now.monotonic);
        };
        lease.is_alone = false;
        let answer = match lease.standing(slot, need, now.monotonic) {
            Some(wait_ns) => Answer::Refused(wait_ns),
            None => lease.refill(host, (slot, terms), now, (ask, need), lending),
        };
        // Who only looks is refused by another limit.
        if lease.is_held_elsewhere && ask != Ask::Look && matches!(answer, Answer::Refused(_)) {
            self.refused_while_held = self.refused_while_held.saturating_add(1);
        }
        answer
    }

    /// Tells what was used, puts back what is not, and forgets who is at rest. To be called once per tick; bounded work.
    pub fn tick<H: SharedData + Clock>(&mut self, host: &H) {
        if self.leases.is_empty() {
            return;
        }
        let now = host.now();
        self.drop_ended(now);
        self.unchecked = UNCHECKED;
        self.end_alone(host, now.monotonic);
        let due =
            self.leases.iter_mut().filter(|(account, lease)| lease.is_due(account.quota, now.monotonic));
        for (account, lease) in due.take(MAX_SETTLED_PER_TICK) {
            let alone = lease.alone;
            // After a failure the rest would fail too; the next tick tries again.
            if lease.settle(host, *account, now).is_err() {
                break;
            }
            self.alone = self.alone.saturating_add(u64::from(alone));
        }
        self.leases.retain(|_, lease| !lease.is_at_rest(now.monotonic));
    }

    /// Tells and puts back everything: this worker goes. What cannot be put back ends with its lease.
    pub fn leave<H: SharedData + Clock>(&mut self, host: &H) {
        let now = host.now();
        for (account, lease) in &mut self.leases {
            lease.granted_at = 0;
            let _ = lease.settle(host, *account, now);
        }
    }

    /// How many answers the sync has had, as far as this worker knows; looks for news.
    pub fn answers<H: SharedData>(&mut self, host: &H, now: Monotonic) -> (bool, u64) {
        self.lending = None;
        self.lending(host, now).map_or((false, 0), |lending| (lending.is_alive(now), lending.answers))
    }

    /// How many answers the sync had had when the last limit was decided.
    pub fn known_answers(&self) -> u64 {
        self.lending.map_or(0, |(lending, _)| lending.answers)
    }

    /// What is left of a limit; `None` for one that the worker does not know, or that the gateway's own limiter decides.
    pub fn remaining(&self, slot: &Slot) -> Option<Remaining> {
        let lease = self.leases.get(&slot.account).filter(|lease| !lease.is_alone)?;
        let quota = slot.account.quota;
        let tokens = u64::from(lease.left).saturating_add(u64::from(lease.lent.tokens)).min(quota.burst());
        let missing = quota.burst().saturating_sub(tokens).saturating_mul(quota.emission_ns());
        let wait_ns = if tokens == 0 { lease.wait_ns.max(quota.emission_ns()) } else { missing };
        Some(Remaining { tokens, reset_seconds: wait_ns.div_ceil(NANOS_PER_SECOND) })
    }

    /// Requests, by their cost, that the gateway's own limiter admitted since the last call, because nothing could be lent.
    pub fn take_alone(&mut self) -> u64 {
        std::mem::take(&mut self.alone)
    }

    /// Requests that were refused since the last call while other gateways held tokens of the limit, as far as was known.
    pub fn take_refused_while_held(&mut self) -> u64 {
        std::mem::take(&mut self.refused_while_held)
    }

    /// Tokens that this worker holds.
    pub fn tokens(&self) -> u64 {
        self.leases.values().fold(0, |sum, lease| sum.saturating_add(u64::from(lease.lent.tokens)))
    }

    fn lending<H: SharedData>(&mut self, host: &H, now: Monotonic) -> Option<Lending> {
        if self.lending.is_none_or(|(_, at)| now.saturating_sub(at) >= KNOWN_NS) {
            let read = Lending::read(host).ok().flatten();
            self.lending = Some((read.unwrap_or_default(), now));
        }
        self.lending.map(|(lending, _)| lending)
    }

    /// Limits that the gateway's own limiter decides are lent for again as soon as something can be. Where there are none, the first request
    /// that wants tokens finds out how lending goes.
    fn end_alone<H: SharedData>(&mut self, host: &H, now: Monotonic) {
        self.lending = None;
        let is_alone = self.leases.values().any(|lease| lease.is_alone);
        if is_alone && self.lending(host, now).is_some_and(|lending| lending.is_alive(now)) {
            self.leases.values_mut().for_each(|lease| lease.is_alone = false);
        }
    }

    fn drop_ended(&mut self, now: Now) {
        self.leases.values_mut().for_each(|lease| lease.look(now));
        self.seen = now.wall;
    }
}
