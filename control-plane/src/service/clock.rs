//! The one source of time. Tests move it forward instead of sleeping.
//!
//! Several control planes on one database end keys, sessions and requests by the same time: one whose machine's clock is off by more than
//! [`TOLERATED`] goes by the database's, as it was seen last. One second is less than what an Envoy's clock may be off anyway.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Wall-clock and monotonic time, both moved ahead by [`Clock::advance`]. Clones share the shift.
#[derive(Clone, Default)]
pub struct Clock {
    shift_ms: Arc<AtomicU64>,
    /// How far the wall clock alone went back.
    back_ms: Arc<AtomicU64>,
    /// When it was stopped.
    stopped: Arc<OnceLock<(Timestamp, Instant)>>,
    /// How far the machine's clock is ahead of the database's, as it was seen last; below zero when it is behind.
    ahead_ms: Arc<AtomicI64>,
    /// What is taken off what the machine's clock says: nothing while that is tolerated.
    correction_ms: Arc<AtomicI64>,
    /// How far the machine's clock is wrong, in tests.
    wrong_ms: Arc<AtomicI64>,
}

/// How far the machine's clock may be off the database's.
pub const TOLERATED: SignedDuration = SignedDuration::from_secs(1);
/// How near it must come to be gone by again; and how much a correction must be wrong to be made anew.
const GOOD_AGAIN: SignedDuration = SignedDuration::from_millis(500);
/// Answers that took longer say too little.
const SLOW: SignedDuration = SignedDuration::from_secs(1);

impl Clock {
    /// Wall-clock time, with the millisecond precision that is stored.
    pub fn now(&self) -> Timestamp {
        let now = self.own();
        let shift = SignedDuration::try_from(self.shift()).unwrap_or(SignedDuration::ZERO);
        let back = Duration::from_millis(self.back_ms.load(Ordering::Relaxed));
        let correction = SignedDuration::from_millis(self.correction_ms.load(Ordering::Relaxed));
        let shifted = now.checked_add(shift).and_then(|now| now.checked_sub(back));
        let now = shifted.and_then(|now| now.checked_sub(correction)).unwrap_or(now);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// What the machine's clock says, right or wrong.
    pub fn own(&self) -> Timestamp {
        let now = self.stopped.get().map_or_else(Timestamp::now, |(now, _)| *now);
        let wrong = SignedDuration::from_millis(self.wrong_ms.load(Ordering::Relaxed));
        now.checked_add(wrong).unwrap_or(now)
    }

    /// Notes what the database's clock said at a moment between these two of the machine's own ([`Self::own`]).
    pub fn compare(&self, before: Timestamp, theirs: Timestamp, after: Timestamp) {
        // The least that it is off, whenever the answer was made.
        let ahead = if theirs < before {
            before.duration_since(theirs)
        } else {
            after.duration_since(theirs).min(SignedDuration::ZERO)
        };
        if after.duration_since(before).abs() > SLOW {
            return;
        }
        let to_ms = |duration: SignedDuration| i64::try_from(duration.as_millis()).unwrap_or_default();
        self.ahead_ms.store(to_ms(ahead), Ordering::Relaxed);
        let made = SignedDuration::from_millis(self.correction_ms.load(Ordering::Relaxed));
        let wanted = match (made.is_zero(), ahead.abs()) {
            (true, off) if off <= TOLERATED => made,
            (false, off) if off <= GOOD_AGAIN => SignedDuration::ZERO,
            (false, _) if (ahead - made).abs() <= GOOD_AGAIN => made,
            _ => ahead,
        };
        self.correction_ms.store(to_ms(wanted), Ordering::Relaxed);
        match (made.is_zero(), wanted.is_zero()) {
            (true, false) => tracing::error!(
                ahead_ms = to_ms(ahead),
                "the clock of this machine is not that of the database (a negative number: it is behind): times are taken from the database"
            ),
            (false, true) => tracing::info!("the clock of this machine is that of the database again"),
            _ => {}
        }
    }

    /// How far the machine's clock is ahead of the database's, as it was seen last: below zero when it is behind, zero where nobody looks.
    pub fn ahead(&self) -> SignedDuration {
        SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Sets the machine's clock wrong. For tests.
    pub fn set_wrong(&self, by: SignedDuration) {
        self.wrong_ms.store(i64::try_from(by.as_millis()).unwrap_or_default(), Ordering::Relaxed);
    }

    /// Monotonic time, for durations.
    pub fn instant(&self) -> Instant {
        self.stopped.get().map_or_else(Instant::now, |(_, now)| *now) + self.shift()
    }

    /// Only [`Clock::advance`] moves it from now on. For tests of what happens within a time, on machines that may take longer.
    pub fn stop(&self) {
        self.stopped.get_or_init(|| (Timestamp::now(), Instant::now()));
    }

    /// Moves the clock ahead. For tests: timers that already run are not affected.
    pub fn advance(&self, by: Duration) {
        self.shift_ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Sets the wall clock back. For tests.
    pub fn go_back(&self, by: Duration) {
        self.back_ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn shift(&self) -> Duration {
        Duration::from_millis(self.shift_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a look at the database whose clock is so many milliseconds behind, with an answer that took so long.
    fn look(clock: &Clock, ahead_ms: i64, took_ms: i64) -> (i64, i64) {
        let before = clock.own();
        let ms = SignedDuration::from_millis;
        let theirs = before - ms(ahead_ms) + ms(took_ms / 2);
        clock.compare(before, theirs, before + ms(took_ms));
        (
            clock.now().duration_since(before).as_millis().try_into().unwrap(),
            clock.ahead().as_millis().try_into().unwrap(),
        )
    }

    #[test]
    fn a_clock_that_is_off_goes_by_the_databases() {
        let clock = Clock::default();
        clock.stop();
        for (ahead, took, corrected, noted) in [
            (0, 10, 0, 0),
            (900, 0, 0, 900),
            (-900, 0, 0, -900),
            // The least that it may be.
            (1_100, 400, 0, 900),
            (3_600_000, 0, -3_600_000, 3_600_000),
            // Not for every millisecond, and by no answer that took long.
            (3_600_300, 0, -3_600_000, 3_600_300),
            (0, 1_001, -3_600_000, 3_600_300),
            (-5_000, 0, 5_000, -5_000),
            (-700, 0, 700, -700),
            (400, 0, 0, 400),
            (800, 0, 0, 800),
        ] {
            let (found, ahead_ms) = look(&clock, ahead, took);
            // What is stored are whole milliseconds.
            assert!(
                i64::abs(found - corrected) <= 1 && ahead_ms == noted,
                "{ahead} {took}: {found} {ahead_ms}"
            );
        }
    }

    #[test]
    fn what_tests_do_to_time_is_not_corrected() {
        let clock = Clock::default();
        clock.stop();
        let begun = clock.now();
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(look(&clock, 0, 0).1, 0);
        assert_eq!(clock.now().duration_since(begun), SignedDuration::from_secs(3_600));
        clock.set_wrong(SignedDuration::from_secs(60));
        look(&clock, 60_000, 0);
        assert_eq!(clock.now().duration_since(begun), SignedDuration::from_secs(3_600));
    }
}
