//! A bound on lines that clients can cause: what goes wrong for each request is logged once a second, not once a request.

use crate::host::Monotonic;

/// Decides whether a line is due, and counts those that were not written.
#[derive(Debug, Default)]
pub struct LogLimit {
    last: Option<Monotonic>,
    seen: u64,
    held_back: u64,
}

/// Least time between two lines, in nanoseconds.
const INTERVAL_NS: u64 = 1_000_000_000;

impl LogLimit {
    /// Nothing was logged yet.
    pub const fn new() -> Self {
        Self { last: None, seen: 0, held_back: 0 }
    }

    /// Something has happened. When a line is due, gives how many were held back since the last one. On a host whose `clock` says
    /// `None` the first, second, fourth, eighth, … line is due; it is not asked in between, because Envoy logs each call of a
    /// clock that it has taken away.
    pub fn admit(&mut self, clock: impl FnOnce() -> Option<Monotonic>) -> Option<u64> {
        self.seen = self.seen.saturating_add(1);
        let milestone = self.seen.is_power_of_two();
        let now = if milestone || self.last.is_some() { clock() } else { None };
        let due = match (now, self.last) {
            (None, _) => milestone,
            (Some(_), None) => true,
            (Some(now), Some(last)) => now.saturating_sub(last) >= INTERVAL_NS,
        };
        if !due {
            self.held_back = self.held_back.saturating_add(1);
            return None;
        }
        self.last = now;
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    //! When a line is due.

    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_line_a_second_and_the_number_of_those_between() {
        let mut limit = LogLimit::new();
        let second = INTERVAL_NS;
        let times = [5, 6, 7, second + 4, second + 5, second + 6, 9 * second];
        let lines: Vec<_> = times.into_iter().map(|now| limit.admit(|| Some(now))).collect();
        assert_eq!(lines, [Some(0), None, None, None, Some(3), None, Some(1)]);
    }

    #[test]
    fn a_clock_that_goes_back_floods_nothing() {
        let mut limit = LogLimit::new();
        assert_eq!(limit.admit(|| Some(INTERVAL_NS)), Some(0));
        assert!((0..100).all(|now| limit.admit(|| Some(now)).is_none()));
    }

    #[test]
    fn without_a_clock_lines_double_their_distance() {
        let mut limit = LogLimit::new();
        let asked = Cell::new(0);
        let clock = || {
            asked.set(asked.get() + 1);
            None
        };
        let written: Vec<_> = (1..=1_000_u64).filter(|_| limit.admit(clock).is_some()).collect();
        assert_eq!(written, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(asked.get(), 10, "each question is a line of Envoy's");
    }

    #[test]
    fn a_clock_that_goes_away_and_comes_back_floods_nothing() {
        let mut limit = LogLimit::new();
        assert_eq!(limit.admit(|| Some(INTERVAL_NS)), Some(0));
        let written = (2..=1_000_u64).filter(|_| limit.admit(|| None).is_some()).count();
        assert_eq!(written, 9);
        assert_eq!(limit.admit(|| Some(7 * INTERVAL_NS)), None, "it was away at the last line");
        assert_eq!(
            (1_002..=1_024_u64).filter(|_| limit.admit(|| Some(7 * INTERVAL_NS)).is_some()).count(),
            1
        );
        assert_eq!(limit.admit(|| Some(8 * INTERVAL_NS)), Some(0));
    }
}
