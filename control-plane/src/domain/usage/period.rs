//! Which time is asked for, and in which steps.

use jiff::Timestamp;

use super::tally::{Bucket, Minute, minute_of};
use crate::domain::error::{Error, Problems};

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Kept for 48 hours.
    Minute,
    /// Kept for 31 days.
    Hour,
    /// Kept for 400 days; begins at midnight, UTC.
    Day,
}

/// A time in buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Length of a bucket.
    pub step: Step,
    /// First minute of the first bucket.
    pub from: Minute,
    /// First minute behind the last bucket.
    pub to: Minute,
}

/// Most buckets in one answer.
pub const MOST_BUCKETS: i64 = 1_500;

impl Step {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Length in minutes.
    pub const fn minutes(self) -> i64 {
        match self {
            Self::Minute => 1,
            Self::Hour => 60,
            Self::Day => 1_440,
        }
    }

    /// How long buckets are kept, in minutes.
    pub const fn kept(self) -> i64 {
        match self {
            Self::Minute => 48 * 60,
            Self::Hour => 31 * 1_440,
            Self::Day => 400 * 1_440,
        }
    }

    /// First minute of the bucket that a minute is in.
    pub const fn start(self, minute: Minute) -> Minute {
        minute.div_euclid(self.minutes()) * self.minutes()
    }

    /// By its name.
    pub fn named(text: &str) -> Option<Self> {
        match text {
            "minute" => Some(Self::Minute),
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            _ => None,
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// What suits a time of so many minutes.
    const fn for_span(minutes: i64) -> Self {
        match minutes {
            ..=180 => Self::Minute,
            181..=20_160 => Self::Hour,
            _ => Self::Day,
        }
    }
}

impl Period {
    /// The whole buckets that `from` to `to` touches: 24 hours until now when neither is given, in steps that suit when none is.
    pub fn new(
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        step: Option<Step>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let last = minute_of(to.unwrap_or(now).min(now));
        let first = from.map_or(last - 1_439, minute_of);
        let mut problems = Problems::default();
        if first > last {
            problems.add("from", "must be before `to`, and not in the future");
        }
        let step = step.unwrap_or(Step::for_span(last - first));
        let period = Self { step, from: step.start(first), to: step.start(last) + step.minutes() };
        if period.buckets() > MOST_BUCKETS {
            problems.add(
                "step",
                format!("gives more than {MOST_BUCKETS} buckets: take a longer step or a shorter time"),
            );
        }
        problems.check()?;
        Ok(period)
    }

    /// How many buckets.
    pub const fn buckets(&self) -> i64 {
        (self.to - self.from) / self.step.minutes()
    }

    /// All buckets since counting began, those without a request too. Before that there is no data, which is not 0.
    pub fn fill(&self, found: &[Bucket], since: Option<Minute>) -> Vec<Bucket> {
        let Some(since) = since else { return Vec::new() };
        let mut found = found.iter().peekable();
        let mut all = Vec::new();
        let mut start = self.from;
        while start < self.to {
            while found.next_if(|bucket| bucket.start < start).is_some() {}
            let tally = found.next_if(|bucket| bucket.start == start).map(|bucket| bucket.tally);
            if tally.is_some() || start + self.step.minutes() > since {
                all.push(Bucket { start, tally: tally.unwrap_or_default() });
            }
            start += self.step.minutes();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::tally::{Tally, time_of};

    fn at(minute: Minute) -> Option<Timestamp> {
        time_of(minute)
    }

    #[test]
    fn a_time_is_whole_buckets_in_steps_that_suit() {
        let now = at(1_000_005).unwrap();
        let of = |from, to, step| Period::new(from, to, step, now).unwrap();
        assert_eq!(of(None, None, None), Period { step: Step::Hour, from: 998_520, to: 1_000_020 });
        assert_eq!(of(at(999_900), None, None), Period { step: Step::Minute, from: 999_900, to: 1_000_006 });
        let days = of(at(900_000), at(2_000_000), None);
        assert_eq!((days.step, days.from % 1_440, days.to % 1_440), (Step::Day, 0, 0));
        assert_eq!(of(at(1_000_005), None, Some(Step::Minute)).buckets(), 1);
        assert!(Period::new(at(1_000_006), None, None, now).is_err());
        assert!(Period::new(at(0), None, Some(Step::Minute), now).is_err());
    }

    #[test]
    fn no_data_is_not_nothing() {
        let period = Period { step: Step::Hour, from: 600, to: 900 };
        let found = [Bucket { start: 720, tally: Tally { admitted: 3, ..Tally::default() } }];
        let starts = |since| period.fill(&found, since).iter().map(|bucket| bucket.start).collect::<Vec<_>>();
        assert!(starts(None).is_empty());
        assert_eq!(starts(Some(0)), [600, 660, 720, 780, 840]);
        assert_eq!(starts(Some(790)), [720, 780, 840]);
        assert_eq!(period.fill(&found, Some(0))[2].tally.admitted, 3);
    }
}
