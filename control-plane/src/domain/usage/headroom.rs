//! How much of a limit a key has used, as far as minutes and hours tell: what is left of it.

use super::tally::{Bucket, Minute};
use crate::contract::Limit;

/// How much of a limit was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// The limit.
    pub limit: Limit,
    /// What is compared.
    pub over: Over,
    /// Admitted requests.
    pub used: u64,
    /// As many as the limit admits in that time, in the long run.
    pub allowed: u64,
}

/// The time over which requests are compared with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The busiest minute of the last hour: of limits per minute or less, whose window is over before anybody looks.
    BusiestMinute,
    /// The window of the limit until now.
    Window,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

impl Headroom {
    /// Of the minutes of the last hour, and of the hours of the longest window where that is longer.
    pub fn of(limit: &Limit, minutes: &[Bucket], hours: &[Bucket], now: Minute) -> Self {
        let (requests, window) = (u64::from(limit.requests.get()), u64::from(limit.window_seconds.get()));
        let admitted = |bucket: &Bucket| bucket.tally.admitted;
        let back = |size: u64| now - i64::try_from(window.div_ceil(size) * size / MINUTE).unwrap_or(i64::MAX);
        let (over, used, allowed) = if window <= MINUTE {
            let busiest = minutes.iter().map(admitted).max().unwrap_or(0);
            (Over::BusiestMinute, busiest, requests * MINUTE / window)
        } else {
            let (buckets, size) = if window <= HOUR { (minutes, MINUTE) } else { (hours, HOUR) };
            let recent = buckets.iter().filter(|bucket| bucket.start > back(size));
            (Over::Window, recent.map(admitted).fold(0, u64::saturating_add), requests)
        };
        Self { limit: limit.clone(), over, used, allowed }
    }

    /// True from four fifths on.
    pub const fn is_near(&self) -> bool {
        self.used.saturating_mul(5) >= self.allowed.saturating_mul(4)
    }

    /// Whether hours have to be looked at for this limit.
    pub fn needs_hours(limit: &Limit) -> bool {
        u64::from(limit.window_seconds.get()) > HOUR
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::parse_list;
    use crate::domain::usage::Tally;

    const NOW: Minute = 29_000_010;

    fn buckets(of: &[(Minute, u64)]) -> Vec<Bucket> {
        let bucket = |(start, admitted): &(Minute, u64)| Bucket {
            start: *start,
            tally: Tally { admitted: *admitted, rate_limited: 9_999, ..Tally::default() },
        };
        of.iter().map(bucket).collect()
    }

    #[test]
    fn short_windows_tell_their_busiest_minute_and_long_ones_what_is_left() {
        let minutes = buckets(&[(NOW - 50, 480), (NOW - 9, 100), (NOW - 10, 7), (NOW, 60)]);
        let hours = buckets(&[(NOW - 10 - 24 * 60, 5_000), (NOW - 10 - 23 * 60, 300), (NOW - 10, 640)]);
        for (limit, over, used, allowed, near) in [
            ("600/1m", Over::BusiestMinute, 480, 600, true),
            ("601/1m", Over::BusiestMinute, 480, 601, false),
            ("8/1s", Over::BusiestMinute, 480, 480, true),
            ("1000/10m", Over::Window, 160, 1_000, false),
            ("647/1h", Over::Window, 647, 647, true),
            ("1000/1d", Over::Window, 940, 1_000, true),
        ] {
            let limit = parse_list(limit).unwrap().remove(0);
            let found = Headroom::of(&limit, &minutes, &hours, NOW);
            let told = (found.over, found.used, found.allowed, found.is_near());
            assert_eq!(told, (over, used, allowed, near), "{limit:?}");
        }
    }
}
