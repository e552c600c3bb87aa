//! The one source of time. Tests move it forward instead of sleeping.

use std::sync::atomic::{AtomicU64, Ordering};
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
}

impl Clock {
    /// Wall-clock time, with the millisecond precision that is stored.
    pub fn now(&self) -> Timestamp {
        let now = self.stopped.get().map_or_else(Timestamp::now, |(now, _)| *now);
        let shift = SignedDuration::try_from(self.shift()).unwrap_or(SignedDuration::ZERO);
        let back = Duration::from_millis(self.back_ms.load(Ordering::Relaxed));
        let shifted = now.checked_add(shift).and_then(|now| now.checked_sub(back));
        let now = shifted.unwrap_or(now);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
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
