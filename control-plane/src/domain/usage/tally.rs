//! Requests by what became of them.

use jiff::Timestamp;

/// Minutes since the Unix epoch.
pub type Minute = i64;

/// Requests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed.
    pub admitted: u64,
    /// Over a limit of the key or its workspace.
    pub rate_limited: u64,
    /// Outside of the key's restrictions.
    pub forbidden: u64,
    /// After the key's end.
    pub expired: u64,
    /// At a gateway that does not accept the key's environment.
    pub environment: u64,
    /// After the key was revoked: those that the gateways' samples have.
    pub revoked: u64,
    /// Those of `rate_limited` that have passed in shadow, as the gateways say it.
    pub shadow_limited: u64,
    /// Those of the other refusals that have passed in shadow.
    pub shadow_refused: u64,
}

/// The requests of some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its first minute.
    pub start: Minute,
    /// Its requests.
    pub tally: Tally,
}

impl Tally {
    /// Names of the outcomes, in the order of [`Self::outcomes`].
    pub const OUTCOMES: [&'static str; 6] =
        ["admitted", "rate_limited", "forbidden", "expired", "environment", "revoked"];
    /// Names of all that is counted, in the order of [`Self::counts`]: the outcomes, and what of them has passed in shadow.
    pub const NAMES: [&'static str; 8] = [
        "admitted",
        "rate_limited",
        "forbidden",
        "expired",
        "environment",
        "revoked",
        "shadow_limited",
        "shadow_refused",
    ];

    /// Each request once, by what was decided.
    pub const fn outcomes(&self) -> [u64; 6] {
        [self.admitted, self.rate_limited, self.forbidden, self.expired, self.environment, self.revoked]
    }

    /// All that is counted.
    pub const fn counts(&self) -> [u64; 8] {
        let [admitted, rate_limited, forbidden, expired, environment, revoked] = self.outcomes();
        let (limited, refused) = (self.shadow_limited, self.shadow_refused);
        [admitted, rate_limited, forbidden, expired, environment, revoked, limited, refused]
    }

    /// The same backwards.
    pub const fn of(counts: [u64; 8]) -> Self {
        let [
            admitted,
            rate_limited,
            forbidden,
            expired,
            environment,
            revoked,
            shadow_limited,
            shadow_refused,
        ] = counts;
        Self {
            admitted,
            rate_limited,
            forbidden,
            expired,
            environment,
            revoked,
            shadow_limited,
            shadow_refused,
        }
    }

    /// Answered with 429.
    pub const fn limited(&self) -> u64 {
        self.rate_limited.saturating_sub(self.shadow_limited)
    }

    /// Answered with 401 or 403.
    pub fn refused(&self) -> u64 {
        self.other_refusals().saturating_sub(self.shadow_refused)
    }

    /// Would have been refused, and has passed.
    pub const fn passed_in_shadow(&self) -> u64 {
        self.shadow_limited.saturating_add(self.shadow_refused)
    }

    /// The same without what cannot be: a gateway may say anything, and what has passed in shadow is no more than there was to be refused.
    #[must_use]
    pub fn believed(self) -> Self {
        Self {
            shadow_limited: self.shadow_limited.min(self.rate_limited),
            shadow_refused: self.shadow_refused.min(self.other_refusals()),
            ..self
        }
    }

    fn other_refusals(&self) -> u64 {
        [self.forbidden, self.expired, self.environment, self.revoked]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Adds another one's.
    pub fn add(&mut self, other: &Self) {
        let mut sums = self.counts();
        sums.iter_mut().zip(other.counts()).for_each(|(sum, count)| *sum = sum.saturating_add(count));
        *self = Self::of(sums);
    }

    /// The sum of several.
    pub fn sum<'t>(tallies: impl IntoIterator<Item = &'t Self>) -> Self {
        let mut sum = Self::default();
        tallies.into_iter().for_each(|tally| sum.add(tally));
        sum
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.outcomes().into_iter().fold(0, u64::saturating_add)
    }
}

/// The minute of a time.
pub fn minute_of(time: Timestamp) -> Minute {
    time.as_second().div_euclid(60)
}

/// The beginning of a minute.
pub fn time_of(minute: Minute) -> Option<Timestamp> {
    Timestamp::from_second(minute.checked_mul(60)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_passed_in_shadow_is_no_request_more_and_none_that_was_refused() {
        let tally = Tally::of([100, 7, 5, 3, 2, 1, 4, 6]);
        assert_eq!(
            (tally.total(), tally.limited(), tally.refused(), tally.passed_in_shadow()),
            (118, 3, 5, 10)
        );
        assert_eq!(
            tally.total(),
            tally.admitted + tally.limited() + tally.refused() + tally.passed_in_shadow()
        );
        let mut twice = tally;
        twice.add(&tally);
        assert_eq!(twice.counts(), tally.counts().map(|count| 2 * count));
    }

    #[test]
    fn whoever_says_that_more_has_passed_than_there_was_makes_no_request() {
        let tally = Tally::of([1, 2, 3, 0, 0, 0, u64::MAX, u64::MAX]).believed();
        assert_eq!((tally.limited(), tally.refused(), tally.passed_in_shadow(), tally.total()), (0, 0, 5, 6));
    }
}
