//! How many tokens of one account are worth asking for, and when.

use crate::host::Monotonic;
use crate::limit::gcra::Quota;

/// What was used of an account lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Tokens used in a second, as it was lately.
    rate: u64,
    /// When that was last seen.
    at: Monotonic,
    /// It is not asked for again before this moment, but for a request that waits.
    next: Monotonic,
    /// The same for one that waits.
    soonest: Monotonic,
}

/// Time between two asks for one account, in nanoseconds, and where the burst is small.
const PERIOD_NS: u64 = 100_000_000;
const SHORT_PERIOD_NS: u64 = 20_000_000;
/// The longest time for which a limit that is used up is not asked for, in nanoseconds: others may give tokens back.
pub const MOST_PAUSE_NS: u64 = 1_000_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// The rate that one request leaves behind until the next call.
const AFTER_ONE: u64 = NANOS_PER_SECOND / PERIOD_NS / 2;

impl Pace {
    /// Nothing was used yet.
    pub const fn new(now: Monotonic) -> Self {
        Self { rate: 0, at: now, next: 0, soonest: 0 }
    }

    /// Time between two asks: a quarter of what the burst lasts for.
    pub fn period_ns(quota: Quota) -> u64 {
        (quota.capacity_ns() / 4).clamp(SHORT_PERIOD_NS, PERIOD_NS)
    }

    /// True when it may be asked for; `waits`: a request waits.
    pub const fn is_due(&self, now: Monotonic, waits: bool) -> bool {
        now >= self.next(waits)
    }

    /// When it is to be looked at again; `waits`: a request waits.
    pub const fn next(&self, waits: bool) -> Monotonic {
        if waits { self.soonest } else { self.next }
    }

    /// So many tokens were used since the last call: two requests that come close together are no rate yet. A rate goes up at once, or those that
    /// come meanwhile would wait, each for a call; a lone request, with nothing before it, is none. Otherwise by halves, rounded up: a client that
    /// sends one request after the other, and waits for each token, would be taken for lone requests for ever.
    pub fn used(&mut self, tokens: u32, now: Monotonic) {
        let since = now.saturating_sub(self.at).max(PERIOD_NS);
        let rate =
            |tokens: u32| u64::from(tokens).saturating_mul(NANOS_PER_SECOND).checked_div(since).unwrap_or(0);
        let lone = u32::from(self.rate < AFTER_ONE);
        let halfway = self.rate.saturating_add(rate(tokens)).div_ceil(2);
        (self.rate, self.at) = (halfway.max(rate(tokens.saturating_sub(lone))), now);
    }

    /// Tokens that should be here: what is used until the next ones come, twice, but for a lone request none; at most half of the burst,
    /// which is not this gateway's alone. `trip_ns` is how long an answer takes.
    pub fn target(&self, quota: Quota, trip_ns: u64) -> u32 {
        let until = Self::period_ns(quota).saturating_add(trip_ns);
        let wanted = self.rate.saturating_mul(2).saturating_mul(until) / NANOS_PER_SECOND;
        u32::try_from(wanted.saturating_sub(1).min(quota.burst() / 2)).unwrap_or(u32::MAX)
    }

    /// It was asked for.
    pub fn asked(&mut self, quota: Quota, now: Monotonic) {
        self.next = now.saturating_add(Self::period_ns(quota));
        self.soonest = now.saturating_add(SHORT_PERIOD_NS);
    }

    /// There is nothing before so long.
    pub fn refused(&mut self, now: Monotonic, wait_ns: u64) {
        self.next = self.next.max(now.saturating_add(wait_ns.min(MOST_PAUSE_NS)));
    }

    /// True when nothing was used for so long that nothing is worth remembering.
    pub const fn is_over(&self, now: Monotonic) -> bool {
        now.saturating_sub(self.at) >= FORGOTTEN_NS
    }
}

/// An account of which nothing was used for so long is forgotten, in nanoseconds.
const FORGOTTEN_NS: u64 = 10_000_000_000;
