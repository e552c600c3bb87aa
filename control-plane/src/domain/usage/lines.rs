//! The last 30 days of several keys, as a list draws them.

use std::collections::HashMap;

use super::period::{Period, Step};
use super::tally::{Bucket, Minute, Tally};

/// The last days of some keys.
#[derive(Debug, Default)]
pub struct Lines {
    first: Minute,
    /// When counting began; `None` when nobody has counted yet.
    since: Option<Minute>,
    keys: HashMap<i64, [Tally; Lines::DAYS]>,
}

impl Lines {
    /// How many days, today included.
    pub const DAYS: usize = 30;

    /// The days until now.
    pub const fn period(now: Minute) -> Period {
        let today = Step::Day.start(now);
        let day = Step::Day.minutes();
        Period { step: Step::Day, from: today - (Self::DAYS as i64 - 1) * day, to: today + day }
    }

    /// From the buckets that were found in such a period, each with its key's row.
    pub fn new(found: Vec<(i64, Bucket)>, period: &Period, since: Option<Minute>) -> Self {
        // A gateway that was away may post what was before.
        let first = found.iter().map(|(_, bucket)| bucket.start).min();
        let since = since.map(|since| first.map_or(since, |first| first.min(since)));
        let mut keys = HashMap::new();
        for (key, bucket) in found {
            let days = keys.entry(key).or_insert([Tally::default(); Self::DAYS]);
            let place = (bucket.start - period.from).div_euclid(Step::Day.minutes());
            if let Some(day) = usize::try_from(place).ok().and_then(|place| days.get_mut(place)) {
                day.add(&bucket.tally);
            }
        }
        Self { first: period.from, since, keys }
    }

    /// The days of a key, oldest first; `None` for days before anybody counted.
    pub fn of(&self, key_seq: i64) -> [Option<Tally>; Self::DAYS] {
        let days = self.keys.get(&key_seq).copied().unwrap_or_default();
        let mut start = self.first;
        days.map(|day| {
            start += Step::Day.minutes();
            self.since.filter(|since| start > *since).map(|_| day)
        })
    }

    /// Whether anybody has counted yet.
    pub const fn is_counted(&self) -> bool {
        self.since.is_some()
    }

    /// All requests of a key since midnight, UTC; `None` when nobody has counted yet.
    pub fn today(&self, key_seq: i64) -> Option<u64> {
        self.of(key_seq).last().copied().flatten().map(|day| day.total())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_before_anybody_counted_are_not_empty_ones() {
        let now = 29_000_000;
        let period = Lines::period(now);
        let today = Step::Day.start(now);
        assert_eq!((period.buckets(), period.to), (30, today + 1_440));
        let of = |start, admitted| Bucket { start, tally: Tally { admitted, ..Tally::default() } };
        let found = vec![(7, of(today, 3)), (7, of(today - 1_440, 2)), (8, of(today - 3 * 1_440, 1))];
        let lines = Lines::new(found, &period, Some(today - 2 * 1_440 + 5));
        let days = lines.of(7);
        let told: Vec<_> = days.iter().flatten().map(|day| day.admitted).collect();
        assert_eq!(told, [0, 0, 2, 3]);
        assert_eq!((lines.today(7), lines.today(8), lines.today(9)), (Some(3), Some(0), Some(0)));
        let nobody = Lines::new(Vec::new(), &period, None);
        assert!(nobody.of(7).iter().all(Option::is_none) && nobody.today(7).is_none());
    }
}
