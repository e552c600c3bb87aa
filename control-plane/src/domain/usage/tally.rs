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
    /// Names of the outcomes, in the order of [`Self::counts`].
    pub const NAMES: [&'static str; 6] =
        ["admitted", "rate_limited", "forbidden", "expired", "environment", "revoked"];

    /// The counts.
    pub const fn counts(&self) -> [u64; 6] {
        [self.admitted, self.rate_limited, self.forbidden, self.expired, self.environment, self.revoked]
    }

    /// The same backwards.
    pub const fn of(counts: [u64; 6]) -> Self {
        let [admitted, rate_limited, forbidden, expired, environment, revoked] = counts;
        Self { admitted, rate_limited, forbidden, expired, environment, revoked }
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

    /// All of them.
    pub fn total(&self) -> u64 {
        self.counts().into_iter().fold(0, u64::saturating_add)
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
