//! How fast something may be done: a burst, then one more each interval (GCRA).

use std::time::{Duration, Instant};

use super::error::Error;
use crate::contract::Limit;

/// One request more each `interval` in the long run, as many at once as fit into `capacity`.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    interval: Duration,
    capacity: Duration,
}

impl Rate {
    /// Of a limit.
    pub(crate) fn new(limit: &Limit) -> Self {
        let interval = Duration::from_secs(limit.window_seconds.get().into()) / limit.requests.get();
        let interval = interval.max(Duration::from_nanos(1));
        Self { interval, capacity: interval * limit.burst.unwrap_or(limit.requests).get() }
    }

    /// The state after one request more.
    pub(crate) fn take(self, until: Instant, now: Instant) -> Result<Instant, Error> {
        let next = until.max(now) + self.interval;
        match (next - now).checked_sub(self.capacity) {
            None | Some(Duration::ZERO) => Ok(next),
            Some(wait) => Err(Error::RateLimited { retry_after_seconds: wait.as_secs() + 1 }),
        }
    }
}
