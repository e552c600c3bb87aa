//! How fast one person may change things in the pages: a script with somebody's session must not make a thousand keys
//! before anybody sees it.
//!
//! Memory is bounded: only people who exist are counted, and who is at rest is forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::contract::Limit;
use crate::domain::error::Error;
use crate::domain::rate::Rate;

/// The limit, and who has used how much of it.
pub struct PersonLimit {
    rate: Option<Rate>,
    /// Until when their changes keep a person busy (GCRA), by the user's row.
    busy_until: Mutex<HashMap<i64, Instant>>,
}

/// Who is at rest is looked for when there are more entries than this.
const SWEEP_ABOVE: usize = 1_000;

impl PersonLimit {
    /// `None` is as fast as it goes.
    pub fn new(limit: Option<&Limit>) -> Self {
        Self { rate: limit.map(Rate::new), busy_until: Mutex::default() }
    }

    /// Counts a change by the user with this row, or says that it is too many ([`Error::RateLimited`]).
    pub fn admit(&self, user_seq: i64, now: Instant) -> Result<(), Error> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        if busy_until.len() > SWEEP_ABOVE {
            busy_until.retain(|_, until| *until > now);
        }
        let until = busy_until.entry(user_seq).or_insert(now);
        *until = rate.take(*until, now)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limit(text: &str) -> PersonLimit {
        PersonLimit::new(crate::domain::limits::parse_list(text).unwrap().first())
    }

    #[test]
    fn each_person_has_a_burst_and_a_rate_of_their_own() {
        let (people, now) = (limit("60/60s+3"), Instant::now());
        for _ in 0..3 {
            people.admit(1, now).unwrap();
        }
        let Err(Error::RateLimited { retry_after_seconds }) = people.admit(1, now) else {
            panic!("admitted")
        };
        assert_eq!(retry_after_seconds, 2, "one second, rounded up generously");
        people.admit(2, now).unwrap();
        people.admit(1, now + Duration::from_secs(1)).unwrap();
        people.admit(1, now + Duration::from_secs(1)).unwrap_err();
    }

    #[test]
    fn who_is_at_rest_is_forgotten() {
        let (people, now) = (limit("60/60s+3"), Instant::now());
        for seq in 0..5_000 {
            people.admit(seq, now + Duration::from_secs(u64::try_from(seq).unwrap())).unwrap();
        }
        assert!(people.busy_until.lock().unwrap().len() <= SWEEP_ABOVE + 1);
    }

    #[test]
    fn none_is_no_limit() {
        let people = limit("none");
        (0..1_000).for_each(|_| people.admit(1, Instant::now()).unwrap());
    }
}
