//! Slows guessing down: a few attempts at once, then one per interval, for each account and for each client address.
//! An attempt counts before the password is looked at; success gives it back.
//!
//! Memory is bounded: an entry that is back at rest is as good as none, and when too many are not, those closest to rest
//! go first.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// The throttle. Clones share it.
#[derive(Clone)]
pub struct Throttle {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    /// Accounts are kept as keyed hashes, so that an attempt with a long name costs no more than another.
    names: RandomState,
    /// When each would be back at rest.
    rests: Mutex<HashMap<Subject, Instant>>,
}

/// What attempts are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Account(u64),
    Address(u128),
}

/// How many attempts at once, and the time until the next one after that.
struct Policy {
    burst: u32,
    every: Duration,
}

const PER_ACCOUNT: Policy = Policy { burst: 8, every: Duration::from_secs(30) };
const PER_ADDRESS: Policy = Policy { burst: 30, every: Duration::from_secs(5) };
/// Most entries.
const CAPACITY: usize = 20_000;

impl Throttle {
    /// One that nobody has tried yet.
    pub fn new(clock: Clock) -> Self {
        let inner = Inner { clock, names: RandomState::new(), rests: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Counts an attempt; the error is how long to wait for the next one.
    pub fn admit(&self, account: &str, address: Option<IpAddr>) -> Result<(), Duration> {
        let now = self.inner.clock.instant();
        let mut rests = self.inner.lock();
        let subjects = self.subjects(account, address);
        let wait = subjects.iter().flatten().map(|subject| subject.wait(&rests, now)).max();
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        for subject in subjects.into_iter().flatten() {
            make_room(&mut rests, now);
            let rest = rests.entry(subject).or_insert(now);
            *rest = (*rest).max(now) + subject.policy().every;
        }
        Ok(())
    }

    /// The attempt was a success: the account is at rest, and the attempt does not count for the address.
    pub fn forgive(&self, account: &str, address: Option<IpAddr>) {
        let mut rests = self.inner.lock();
        let [account, address] = self.subjects(account, address);
        if let Some(account) = account {
            rests.remove(&account);
        }
        if let Some(rest) = address.and_then(|address| rests.get_mut(&address)) {
            *rest = rest.checked_sub(PER_ADDRESS.every).unwrap_or(*rest);
        }
    }

    fn subjects(&self, account: &str, address: Option<IpAddr>) -> [Option<Subject>; 2] {
        let account = Subject::Account(self.inner.names.hash_one(account));
        // Whoever has one IPv6 address has at least the 2^64 around it.
        let address = address.map(|address| match address.to_canonical() {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
        });
        [Some(account), address.map(Subject::Address)]
    }
}

impl Subject {
    const fn policy(self) -> Policy {
        match self {
            Self::Account(_) => PER_ACCOUNT,
            Self::Address(_) => PER_ADDRESS,
        }
    }

    fn wait(self, rests: &HashMap<Self, Instant>, now: Instant) -> Duration {
        let Policy { burst, every } = self.policy();
        let busy = rests.get(&self).map_or(Duration::ZERO, |rest| rest.saturating_duration_since(now));
        busy.saturating_sub(every * (burst - 1))
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, Instant>> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(rests: &mut HashMap<Subject, Instant>, now: Instant) {
    if rests.len() < CAPACITY {
        return;
    }
    rests.retain(|_, rest| *rest > now);
    if rests.len() < CAPACITY {
        return;
    }
    let mut times: Vec<_> = rests.values().copied().collect();
    let (_, middle, _) = times.select_nth_unstable(CAPACITY / 2);
    let middle = *middle;
    rests.retain(|_, rest| *rest > middle);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn an_account_is_slowed_down_from_wherever_the_attempts_come() {
        let clock = Clock::default();
        let throttle = Throttle::new(clock.clone());
        for last in 0..8 {
            throttle.admit("ada@example.com", address(last)).unwrap();
        }
        let wait = throttle.admit("ada@example.com", address(9)).unwrap_err();
        assert!(wait <= Duration::from_secs(30) && wait > Duration::from_secs(29), "{wait:?}");
        throttle.admit("bob@example.com", address(9)).unwrap();
        clock.advance(Duration::from_secs(30));
        throttle.admit("ada@example.com", address(9)).unwrap();
        throttle.admit("ada@example.com", address(9)).unwrap_err();
    }

    #[test]
    fn an_address_is_slowed_down_whatever_the_accounts() {
        let throttle = Throttle::new(Clock::default());
        for number in 0..30 {
            throttle.admit(&format!("user{number}@example.com"), address(1)).unwrap();
        }
        throttle.admit("user30@example.com", address(1)).unwrap_err();
        throttle.admit("user30@example.com", address(2)).unwrap();
    }

    #[test]
    fn success_is_forgiven() {
        let throttle = Throttle::new(Clock::default());
        for _ in 0..100 {
            throttle.admit("ada@example.com", address(1)).unwrap();
            throttle.forgive("ada@example.com", address(1));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::new(Clock::default());
        for number in 0..u32::try_from(CAPACITY).unwrap() {
            throttle.admit(&number.to_string(), Some(IpAddr::from(number.to_be_bytes()))).unwrap();
        }
        assert!(throttle.inner.lock().len() <= CAPACITY);
    }

    #[test]
    fn a_neighbourhood_of_ipv6_is_one_address() {
        let throttle = Throttle::new(Clock::default());
        let near = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
        for number in 0..30 {
            throttle.admit(&format!("user{number}@example.com"), near(number)).unwrap();
        }
        throttle.admit("user30@example.com", near(99)).unwrap_err();
    }
}
