//! What one worker knows of one account: tokens it has taken and not used, how long it was told to wait, and what it
//! admitted on its own while shared data could not be had.

use super::bucket::{self, Change, Known, Step, Unavailable};
use super::gcra::{Quota, Tat};
use super::slot::{Account, SHARE, Slot};
use super::version1::Before;
use crate::host::{Monotonic, SharedData};

/// A worker's lease of one account's tokens. Without tokens it is a memory of the last answer.
#[derive(Debug)]
pub struct Lease {
    /// Taken from the shared state and not used yet.
    tokens: u32,
    /// Size of the grant that `tokens` is the rest of; 0 after it was settled.
    granted: u32,
    /// How many tokens this worker used in the last [`HOLD_NS`] it was settled for.
    used: u32,
    /// Size up to which a lease of this limit is spare.
    spare: u32,
    quota: Quota,
    granted_at: Monotonic,
    /// The shared state as last seen, and when.
    tat: Tat,
    seen_at: Monotonic,
    /// Refused: shared data is not asked before this moment for so many tokens or more.
    ask_at: Monotonic,
    refused: u32,
    /// GCRA state of what this worker admitted without shared data and has not added to it yet.
    debt_tat: Tat,
}

/// How long unused tokens stay with a worker, and the longest that a refusal is believed without asking again:
/// others may have put tokens back by then.
pub const HOLD_NS: u64 = 100_000_000;
/// How long a spare lease stays: long enough for a key that is used now and then not to ask shared data every time.
pub const SPARE_HOLD_NS: u64 = 60_000_000_000;

/// Whether an empty lease may take tokens or only looks at what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Take as many as the sizing allows.
    Take,
    /// Learn how long to wait, take nothing.
    Look,
}

/// What shared data said.
struct Answer {
    tat: Tat,
    granted: u32,
}

impl Lease {
    /// Nothing is known yet. Without `spares` it never takes more than its use asks for.
    pub fn new(slot: &Slot, spares: bool) -> Self {
        Self {
            tokens: 0,
            granted: 0,
            used: 1,
            spare: if spares { slot.sizing.spare } else { 0 },
            quota: slot.account.quota,
            granted_at: 0,
            tat: 0,
            seen_at: 0,
            ask_at: 0,
            refused: 0,
            debt_tat: 0,
        }
    }

    /// Uses so many tokens; false when there are fewer.
    #[inline]
    pub fn spend(&mut self, need: u32) -> bool {
        let rest = self.tokens.checked_sub(need);
        self.tokens = rest.unwrap_or(self.tokens);
        rest.is_some()
    }

    /// Undoes [`Self::spend`].
    pub const fn unspend(&mut self, need: u32) {
        self.tokens = self.tokens.saturating_add(need);
    }

    /// True while so many tokens can be used.
    pub const fn has_tokens(&self, need: u32) -> bool {
        self.tokens >= need
    }

    /// How long a request that needs so many tokens waits, while a refusal of as many or fewer stands; `None` when shared data may be
    /// asked (or they are here).
    pub fn refused_ns(&self, now: Monotonic, need: u32) -> Option<u64> {
        let refused = !self.has_tokens(need) && self.ask_at > now && self.missing(need) >= self.refused;
        refused.then(|| self.quota.wait_ns(self.tat, now, need).max(self.ask_at.saturating_sub(now)))
    }

    /// Tokens that are not here of those that a request needs.
    const fn missing(&self, need: u32) -> u32 {
        need.saturating_sub(self.tokens)
    }

    /// Asks shared data for what is missing of the tokens that a request needs. `Ok(None)` when they can be used (or could, for
    /// [`Ask::Look`]), `Ok(Some)` with the nanoseconds to wait otherwise: until the whole need is there, because tokens that are here may
    /// have gone back by then.
    pub fn refill<H: SharedData>(
        &mut self,
        host: &H,
        slot: &Slot,
        now: Monotonic,
        (ask, need): (Ask, u32),
        before: &mut Before,
    ) -> Result<Option<u64>, Unavailable> {
        let wanted = u64::from(self.wanted(now).max(self.spare));
        let missing = u64::from(self.missing(need));
        let debt_ns = self.debt_tat.saturating_sub(now);
        let quota = self.quota;
        let answer = bucket::update(host, slot.account, now, |known| {
            let (stored, is_new) = match known {
                Known::Own(tat) => (tat, false),
                Known::Carried(tat) => (tat, true),
                Known::Nothing => {
                    let tat = before.tat(host, slot, now)?;
                    (tat, tat > now)
                }
            };
            let tat = quota.settle(stored, now, debt_ns, 0);
            let available = quota.available(tat, now);
            let most = (available / SHARE).clamp(u64::from(slot.sizing.floor), u64::from(slot.sizing.max));
            let granted = if available < missing { 0 } else { most.min(wanted).min(available).max(missing) };
            let granted = u32::try_from(granted).unwrap_or(0);
            Ok(match quota.take(tat, now, granted) {
                Some(taken) if granted > 0 && ask == Ask::Take => {
                    let requests = quota.requests(debt_ns).saturating_add(u64::from(granted));
                    let change = Change { requests, ..Change::only(taken) };
                    Step::Store(change, Answer { tat: taken, granted })
                }
                // Stored cut, or it would be as far ahead of the next look; and a state that was carried, or it would be
                // carried again and go on by the old rate.
                _ if is_new || quota.is_too_far_ahead(stored, now) => {
                    let change = Change::only(quota.settle(stored, now, 0, 0));
                    Step::Store(change, Answer { tat, granted: 0 })
                }
                _ => Step::Keep(Answer { tat, granted: 0 }),
            })
        })?;
        (self.tat, self.seen_at) = (answer.tat, now);
        if answer.granted > 0 {
            self.debt_tat = 0;
            self.grant(answer.granted, now);
            return Ok(None);
        }
        if quota.available(answer.tat, now) >= missing {
            return Ok(None);
        }
        Ok(self.refuse(need, slot, now))
    }

    /// What is missing from a private limit with the same quota, for the time without shared data: it counts for this worker
    /// alone and is added to the shared state later. Answers as [`Self::refill`].
    pub fn lend(&mut self, slot: &Slot, now: Monotonic, need: u32) -> Option<u64> {
        let missing = self.missing(need);
        let lent = self.quota.take(self.debt_tat, now, missing);
        self.debt_tat = lent.unwrap_or(self.debt_tat);
        (self.tat, self.seen_at) = (self.debt_tat, now);
        if lent.is_some() {
            self.grant(missing, now);
            return None;
        }
        self.refuse(need, slot, now)
    }

    /// True when there is something to settle that is older than [`HOLD_NS`], or than [`SPARE_HOLD_NS`] when it is spare
    /// and the worker has room (is not `crowded`).
    pub const fn is_due(&self, now: Monotonic, crowded: bool) -> bool {
        let is_spare = self.granted <= self.spare && self.debt_tat <= now && !crowded;
        let hold_ns = if is_spare { SPARE_HOLD_NS } else { HOLD_NS };
        (self.has_tokens(1) || self.debt_tat > now) && now.saturating_sub(self.granted_at) >= hold_ns
    }

    /// True when the lease holds nothing and no memory that is worth its place.
    pub fn is_at_rest(&self, now: Monotonic) -> bool {
        let latest = self.granted_at.max(self.seen_at);
        !self.has_tokens(1) && self.debt_tat.max(self.ask_at) <= now && now.saturating_sub(latest) >= HOLD_NS
    }

    /// Puts unused tokens back and adds what was admitted without shared data. On failure everything stays as it was.
    /// The subject's other numbers, if it has any, count the debts but get nothing back: they may have counted less than
    /// was taken, because a count ends at the burst. Its sums are cut nowhere and do get them back.
    pub fn settle<H: SharedData>(
        &mut self,
        host: &H,
        account: Account,
        now: Monotonic,
    ) -> Result<(), Unavailable> {
        let (quota, debt_ns) = (self.quota, self.debt_tat.saturating_sub(now));
        let (tokens, debts) = (self.tokens, quota.requests(debt_ns));
        // Of tokens that nobody has counted for this account, only those that are in the debts can go back.
        let lent = tokens.min(u32::try_from(debts).unwrap_or(u32::MAX));
        self.tat = bucket::update(host, account, now, |known| {
            let (stored, back) = match known {
                Known::Own(tat) => (tat, tokens),
                Known::Carried(tat) => (tat, lent),
                Known::Nothing => (0, lent),
            };
            let settled = quota.settle(stored, now, debt_ns, back);
            let change = Change { tat: settled, requests: debts, back, in_use: false };
            let is_same = settled == stored.max(now);
            Ok(if is_same { Step::Keep(settled) } else { Step::Store(change, settled) })
        })?;
        self.used = self.granted.saturating_sub(tokens).max(1);
        if self.granted > tokens {
            // In use: the size of the next lease is worth remembering for a while.
            self.granted_at = now;
        }
        if tokens > 0 {
            // A refusal that was for what is missing beside them says nothing any more.
            self.ask_at = 0;
        }
        (self.tokens, self.granted, self.debt_tat, self.seen_at) = (0, 0, 0, now);
        Ok(())
    }

    /// Tokens left and nanoseconds until the limit is at rest or, when none is left, until the next token: at the last
    /// look at the shared state.
    pub fn remaining(&self) -> (u64, u64) {
        let left = self.quota.available(self.tat, self.seen_at).saturating_add(u64::from(self.tokens));
        let held = self.quota.settle(self.tat, self.seen_at, 0, self.tokens);
        let wait = if left == 0 {
            self.quota.wait_ns(held, self.seen_at, 1)
        } else {
            held.saturating_sub(self.seen_at)
        };
        (left, wait)
    }

    /// Size of the next lease: double after one that was used up within [`HOLD_NS`], the same after a slower one, and
    /// what was used of one that was put back.
    const fn wanted(&self, now: Monotonic) -> u32 {
        match self.granted {
            0 => self.used,
            granted if now.saturating_sub(self.granted_at) < HOLD_NS => granted.saturating_mul(2),
            granted => granted,
        }
    }

    const fn grant(&mut self, tokens: u32, now: Monotonic) {
        let held = self.tokens.saturating_add(tokens);
        (self.tokens, self.granted, self.granted_at, self.ask_at) = (held, held, now, 0);
    }

    fn refuse(&mut self, need: u32, slot: &Slot, now: Monotonic) -> Option<u64> {
        let wait_ns = self.quota.wait_ns(self.tat, now, need).max(slot.sizing.pause_ns);
        self.refused = self.missing(need);
        self.ask_at = now.saturating_add(wait_ns.min(HOLD_NS));
        Some(wait_ns)
    }
}
