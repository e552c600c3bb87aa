//! What a subject has used by all its numbers together. A set's own count ends at its burst, so from a small one nobody can
//! tell what was used before it; the sums are cut nowhere, and what new numbers begin with is the largest of them.
//!
//! One sum would do if the rate never changed. For an interval in which the fastest numbers have the emission interval T, what
//! counts is a bucket that begins empty with the interval, takes every request and drains by T. The sums are
//! at least as large as each of these buckets, whenever it begins: each sum takes every request; the one that drains slowest
//! is begun when nothing faster is in use any more; and when faster numbers come, the slower sums become one
//! that drains by theirs. A sum that is no larger than a slower one stays so and is dropped. So a fast rate of
//! yesterday lets drain what was used yesterday, and nothing that was used since.

use super::entry::State;
use crate::host::Monotonic;
use crate::limit::gcra::{Quota, Tat};

/// Most sums of a subject. Of more the two fastest become one: the larger count and the slower rate, which errs towards refusing.
pub const MAX_SUMS: usize = 3;

/// What is counted now, and by whom.
#[derive(Clone, Copy)]
pub struct Counted {
    /// The shortest emission interval of the numbers in use, `None` when there are none.
    pub fastest_ns: Option<u64>,
    /// Requests and leased tokens.
    pub requests: u64,
    /// Tokens that go back.
    pub back: u32,
    /// The second, `None` for what only came to settle.
    pub used_at: Option<u32>,
}

/// The largest of the sums, as a state under `quota`; 0 when there is none.
pub fn carry(sums: &[State], quota: Quota, now: Monotonic) -> Tat {
    sums.iter().map(|sum| quota.carry(sum.quota, sum.tat, now)).max().unwrap_or(0)
}

/// The sums, the one that drains fastest first, after what is counted now.
pub fn counted(mut sums: Vec<State>, counted: Counted, now: Monotonic) -> Vec<State> {
    if let Some(fastest_ns) = counted.fastest_ns {
        let last = sums.iter().map(|sum| sum.used_at).max().unwrap_or(0);
        let slower = sums.iter().position(|sum| sum.quota.emission_ns() >= fastest_ns).unwrap_or(sums.len());
        let slower = sums.split_off(slower);
        let merged = State::sum(fastest_ns, last, 0);
        sums.push(State { tat: carry(&slower, merged.quota, now), ..merged });
    }
    for sum in &mut sums {
        sum.tat = sum.quota.settle(sum.quota.charge(sum.tat, now, counted.requests), now, 0, counted.back);
        sum.used_at = counted.used_at.unwrap_or(sum.used_at);
    }
    pruned(sums, now)
}

/// Without the sums that a slower one makes superfluous, and without those at rest.
fn pruned(sums: Vec<State>, now: Monotonic) -> Vec<State> {
    let mut kept: Vec<State> = Vec::with_capacity(sums.len());
    for sum in sums.into_iter().rev().filter(|sum| sum.tat > now) {
        // In nanoseconds of the slower one: exact, and a tie goes to it.
        if kept.last().is_none_or(|slower| slower.quota.carry(sum.quota, sum.tat, now) > slower.tat) {
            kept.push(sum);
        }
    }
    if kept.len() > MAX_SUMS
        && let (Some(fastest), Some(next)) = (kept.pop(), kept.last_mut())
    {
        next.tat = next.quota.carry(fastest.quota, fastest.tat, now);
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests;
