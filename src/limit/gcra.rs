//! GCRA, the generic cell rate algorithm (ITU-T I.371, "continuous-state leaky bucket"), as pure arithmetic.
//!
//! The whole state of a limit is one number, the theoretical arrival time (TAT): until when, on the monotonic clock, the
//! requests admitted so far keep the limit busy. `TAT - now` is the backlog; each request adds one emission interval to
//! it, and it may not grow beyond the capacity. A TAT in the past is a limit at rest. Nothing here overflows or panics,
//! and a TAT further ahead than the capacity (nobody we know wrote it) counts as a full backlog.
//!
//! A backlog is time, so it means nothing without the emission interval: backlog / T is how many requests are *used*, and
//! that is what other numbers start from ([`Quota::carry`]).

use std::num::{NonZeroU32, NonZeroU64};

use crate::host::Monotonic;

/// Theoretical arrival time, nanoseconds on the monotonic clock.
pub type Tat = Monotonic;

/// Rate and burst of one limit, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    emission_ns: NonZeroU64,
    capacity_ns: u64,
}

/// The longest backlog, 146 years. A limit that would need longer to come to rest has its burst cut to this.
const MAX_CAPACITY_NS: u64 = u64::MAX / 4;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Quota {
    /// `requests` per `window_seconds` in the long run, `burst` at once from rest. The emission interval is rounded up
    /// to a whole nanosecond, so the rate is never above the limit (and at most 0.1 % below, at a million a second).
    pub fn new(requests: NonZeroU32, window_seconds: NonZeroU32, burst: NonZeroU32) -> Self {
        let window_ns = u64::from(window_seconds.get()).saturating_mul(NANOS_PER_SECOND);
        let emission_ns =
            NonZeroU64::new(window_ns.div_ceil(u64::from(requests.get()))).unwrap_or(NonZeroU64::MIN);
        Self::from_parts(emission_ns, burst)
    }

    /// The inverse of [`Self::parts`].
    pub fn from_parts(emission_ns: NonZeroU64, burst: NonZeroU32) -> Self {
        let burst = u64::from(burst.get()).min(MAX_CAPACITY_NS / emission_ns).max(1);
        Self { emission_ns, capacity_ns: burst.saturating_mul(emission_ns.get()) }
    }

    /// Emission interval and burst, which are all there is to a quota.
    pub fn parts(self) -> (u64, u32) {
        (self.emission_ns.get(), u32::try_from(self.burst()).unwrap_or(u32::MAX))
    }

    /// Time in which one token comes.
    pub const fn emission_ns(self) -> u64 {
        self.emission_ns.get()
    }

    /// Time in which an exhausted limit comes to rest.
    pub const fn capacity_ns(self) -> u64 {
        self.capacity_ns
    }

    /// Tokens of a limit at rest.
    pub fn burst(self) -> u64 {
        self.capacity_ns / self.emission_ns
    }

    /// Tokens that can be taken now.
    pub fn available(self, tat: Tat, now: Monotonic) -> u64 {
        self.capacity_ns.saturating_sub(self.backlog_ns(tat, now)) / self.emission_ns
    }

    /// The state after taking `tokens` now, `None` when there are not so many.
    pub fn take(self, tat: Tat, now: Monotonic, tokens: u32) -> Option<Tat> {
        let backlog = self.backlog_ns(tat, now).checked_add(self.cost_ns(tokens))?;
        (backlog <= self.capacity_ns).then(|| now.saturating_add(backlog))
    }

    /// The state after adding `debt_ns` to the backlog and putting `tokens` back. Never in the past, so what is put
    /// back into a full limit is gone.
    pub fn settle(self, tat: Tat, now: Monotonic, debt_ns: u64, tokens: u32) -> Tat {
        let backlog = self.backlog_ns(tat, now).saturating_add(debt_ns);
        now.saturating_add(backlog.saturating_sub(self.cost_ns(tokens)).min(self.capacity_ns))
    }

    /// The state after `requests` that were admitted by other numbers.
    pub fn charge(self, tat: Tat, now: Monotonic, requests: u64) -> Tat {
        self.settle(tat, now, self.emission_ns.get().saturating_mul(requests), 0)
    }

    /// The state under this quota of a limit that had the quota `other` and the state `tat`: what was used stays used,
    /// counted in requests, and is at most the burst.
    pub fn carry(self, other: Self, tat: Tat, now: Monotonic) -> Tat {
        let backlog =
            u128::from(other.backlog_ns(tat, now)).saturating_mul(u128::from(self.emission_ns.get()));
        let backlog = backlog.div_ceil(u128::from(other.emission_ns.get()));
        now.saturating_add(u64::try_from(backlog).unwrap_or(u64::MAX).min(self.capacity_ns))
    }

    /// How many requests a backlog of so many nanoseconds is, rounded up.
    pub const fn requests(self, backlog_ns: u64) -> u64 {
        backlog_ns.div_ceil(self.emission_ns.get())
    }

    /// Nanoseconds until so many `tokens` can be taken at once, at most the burst; 0 when they can be taken now.
    pub fn wait_ns(self, tat: Tat, now: Monotonic, tokens: u32) -> u64 {
        self.backlog_ns(tat, now).saturating_add(self.cost_ns(tokens)).saturating_sub(self.capacity_ns)
    }

    /// Nanoseconds until the limit is at rest.
    pub fn backlog_ns(self, tat: Tat, now: Monotonic) -> u64 {
        tat.saturating_sub(now).min(self.capacity_ns)
    }

    /// True for a state that this quota cannot have led to.
    pub fn is_too_far_ahead(self, tat: Tat, now: Monotonic) -> bool {
        tat.saturating_sub(now) > self.capacity_ns
    }

    fn cost_ns(self, tokens: u32) -> u64 {
        self.emission_ns.get().saturating_mul(u64::from(tokens))
    }
}

#[cfg(test)]
mod tests;
