//! How much keys have used of their limits.

use std::collections::HashMap;

use super::service::Usage;
use crate::contract::Scope;
use crate::domain::error::Error;
use crate::domain::keys::Key;
use crate::domain::usage::{Bucket, Headroom, Minute, Period, Step, minute_of};

/// The longest window that a limit may have, in minutes.
const LONGEST_WINDOW: i64 = 31 * 1_440;

impl Usage {
    /// How much each of these keys has used of each limit of its own, in the order of the keys and their limits. What all keys of the
    /// workspace share is not among them.
    pub async fn headrooms(&self, keys: &[Key]) -> Result<Vec<Vec<Headroom>>, Error> {
        let now = minute_of(self.clock.now());
        let mut view = self.store.read().await?;
        let period = |step: Step, minutes| Period { step, from: now - minutes + 1, to: now + 1 };
        let all: Vec<_> = keys.iter().map(|key| key.seq).collect();
        let long = |key: &&Key| key.limits.iter().any(Headroom::needs_hours);
        let long: Vec<_> = keys.iter().filter(long).map(|key| key.seq).collect();
        let minutes = by_key(view.usage_of_keys(&all, &period(Step::Minute, 60)).await?);
        let hours = match long.as_slice() {
            [] => HashMap::new(),
            long => by_key(view.usage_of_keys(long, &period(Step::Hour, LONGEST_WINDOW)).await?),
        };
        let of = |key: &Key| of_key(key, &minutes, &hours, now);
        Ok(keys.iter().map(of).collect())
    }
}

fn of_key(
    key: &Key,
    minutes: &HashMap<i64, Vec<Bucket>>,
    hours: &HashMap<i64, Vec<Bucket>>,
    now: Minute,
) -> Vec<Headroom> {
    let of = |buckets: &HashMap<i64, Vec<Bucket>>| buckets.get(&key.seq).cloned().unwrap_or_default();
    let (minutes, hours) = (of(minutes), of(hours));
    let own = key.limits.iter().filter(|limit| limit.scope == Scope::Key);
    own.map(|limit| Headroom::of(limit, &minutes, &hours, now)).collect()
}

fn by_key(found: Vec<(i64, Bucket)>) -> HashMap<i64, Vec<Bucket>> {
    let mut keys: HashMap<i64, Vec<Bucket>> = HashMap::new();
    for (key, bucket) in found {
        keys.entry(key).or_default().push(bucket);
    }
    keys
}
