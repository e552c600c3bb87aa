//! What a gateway says, within bounds: it may say anything.

use super::period::Step;
use super::tally::Minute;

/// Most requests of one key, outcome and minute: sums stay in range for longer than anything runs.
pub const MOST_REQUESTS: u64 = 1_000_000_000;

/// The minute that is said. A gateway's clock may be ahead, ours is right; what is too old for any step is nothing.
pub fn minute(said: u64, now: Minute) -> Option<Minute> {
    let minute = Minute::try_from(said).unwrap_or(Minute::MAX).min(now);
    (minute > now - Step::Day.kept()).then_some(minute)
}
