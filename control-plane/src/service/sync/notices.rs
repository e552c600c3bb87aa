//! Log lines that a gateway can cause: one of a kind and credential in ten seconds, with the number since the last one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::credentials::Credential;
use crate::service::clock::Clock;

const INTERVAL: Duration = Duration::from_secs(10);

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    ForeignEpoch,
    OtherHistory,
}

/// When each was told last, and how often it has happened since.
pub(super) struct Notices {
    clock: Clock,
    told: Mutex<HashMap<(Credential, Kind), (Instant, u64)>>,
}

impl Notices {
    pub fn new(clock: Clock) -> Self {
        Self { clock, told: Mutex::default() }
    }

    /// How often it has happened since the last line, this time included; `None` when it is too early for another line.
    pub fn admit(&self, credential: &Credential, kind: Kind) -> Option<u64> {
        let now = self.clock.instant();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((at, count)) = told.get_mut(&(credential.clone(), kind)) else {
            told.insert((credential.clone(), kind), (now, 0));
            return Some(1);
        };
        *count += 1;
        if now.saturating_duration_since(*at) < INTERVAL {
            return None;
        }
        *at = now;
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_ten_seconds_for_each_credential_and_kind() {
        let clock = Clock::default();
        let notices = Notices::new(clock.clone());
        let (a, b) = (Credential::named("a"), Credential::named("b"));
        assert_eq!(notices.admit(&a, Kind::ForeignEpoch), Some(1));
        for _ in 0..1_000 {
            assert_eq!(notices.admit(&a, Kind::ForeignEpoch), None);
        }
        assert_eq!(notices.admit(&b, Kind::ForeignEpoch), Some(1));
        assert_eq!(notices.admit(&a, Kind::OtherHistory), Some(1));
        clock.advance(INTERVAL);
        assert_eq!(notices.admit(&a, Kind::ForeignEpoch), Some(1_001));
    }
}
