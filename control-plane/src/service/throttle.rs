//! Slows guessing down: a few attempts at once, then one per interval, for each account, for each client address, and for each
//! network of IPv6 that one household or server has.
//! An attempt counts before the password is looked at; success gives it back.
//!
//! Memory is bounded: an entry that is back at rest is as good as none, and when too many are not, those closest to rest
//! go first.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::clock::Clock;
use crate::domain::addresses::{neighbourhood, network};

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
    /// 256 neighbourhoods of IPv6.
    Network(u128),
    /// An attempt of this network has failed lately.
    Failed(u128),
    /// Successes: each is a session that stays for hours, and three writes.
    Welcome(u64),
    /// Wrong tokens of an address.
    Tokens(u128),
}

/// How many attempts at once, and the time until the next one after that.
struct Policy {
    burst: u32,
    every: Duration,
}

const PER_ACCOUNT: Policy = Policy { burst: 8, every: Duration::from_secs(30) };
const PER_ADDRESS: Policy = Policy { burst: 30, every: Duration::from_secs(5) };
const PER_NETWORK: Policy = Policy { burst: 60, every: Duration::from_secs(2) };
/// How long it is known.
const FAILED: Policy = Policy { burst: 1, every: Duration::from_secs(600) };
const WELCOMES_PER_ACCOUNT: Policy = Policy { burst: 100, every: Duration::from_secs(10) };
/// Wrong tokens: a gateway or a script with an old token tries every few seconds.
const TOKENS_PER_ADDRESS: Policy = Policy { burst: 20, every: Duration::from_secs(3) };
/// Most entries.
const CAPACITY: usize = 20_000;

impl Throttle {
    /// One that nobody has tried yet.
    pub fn new(clock: Clock) -> Self {
        let inner = Inner { clock, names: RandomState::new(), rests: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Counts so many attempts, all or none; the error is how long to wait for them.
    pub fn admit(&self, account: &str, address: Option<IpAddr>, attempts: u32) -> Result<(), Duration> {
        let now = self.inner.clock.instant();
        let mut rests = self.inner.lock();
        let subjects = self.subjects(account, address);
        let welcome = self.welcome(account);
        let waits = subjects.iter().flatten().map(|subject| subject.wait_for(attempts, &rests, now));
        let wait = waits.fold(welcome.wait(&rests, now), Duration::max);
        if !wait.is_zero() {
            return Err(wait);
        }
        for subject in subjects.into_iter().flatten() {
            make_room(&mut rests, now);
            let rest = rests.entry(subject).or_insert(now);
            *rest = (*rest).max(now) + subject.policy().every * attempts;
        }
        Ok(())
    }

    /// Takes back an attempt that was counted and not needed.
    pub fn give_back(&self, account: &str, address: Option<IpAddr>) {
        let mut rests = self.inner.lock();
        for subject in self.subjects(account, address).into_iter().flatten() {
            if let Some(rest) = rests.get_mut(&subject) {
                *rest = rest.checked_sub(subject.policy().every).unwrap_or(*rest);
            }
        }
    }

    /// The attempt was a success: the account is at rest, and the attempt does not count for the address. Only a hundred
    /// successes in a row are too many as well.
    pub fn forgive(&self, account: &str, address: Option<IpAddr>) {
        let (now, welcome) = (self.inner.clock.instant(), self.welcome(account));
        let mut rests = self.inner.lock();
        make_room(&mut rests, now);
        let rest = rests.entry(welcome).or_insert(now);
        *rest = (*rest).max(now) + welcome.policy().every;
        let [account, places @ ..] = self.subjects(account, address);
        if let Some(account) = account {
            rests.remove(&account);
        }
        for place in places.into_iter().flatten() {
            if let Some(rest) = rests.get_mut(&place) {
                *rest = rest.checked_sub(place.policy().every).unwrap_or(*rest);
            }
        }
    }

    /// Whether no attempt from there has failed lately. From now on one has, until it is [`Self::trust`]ed.
    pub fn is_first(&self, address: Option<IpAddr>) -> bool {
        let Some(subject) = address.map(|address| Subject::Failed(network(address))) else { return false };
        let now = self.inner.clock.instant();
        let mut rests = self.inner.lock();
        let is_first = subject.wait(&rests, now).is_zero();
        make_room(&mut rests, now);
        rests.insert(subject, now + FAILED.every);
        is_first
    }

    /// Somebody from there has signed in.
    pub fn trust(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.inner.lock().remove(&Subject::Failed(network(address)));
        }
    }

    fn welcome(&self, account: &str) -> Subject {
        Subject::Welcome(self.inner.names.hash_one(account))
    }

    /// Counts a wrong token; true when there were so many of the address that it is to be slowed down. Only wrong ones are
    /// counted, so behind one address the holders of good ones notice nothing.
    pub fn wrong_token(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return false };
        let (now, subject) = (self.inner.clock.instant(), Subject::Tokens(neighbourhood(address)));
        let mut rests = self.inner.lock();
        if !subject.wait(&rests, now).is_zero() {
            return true;
        }
        make_room(&mut rests, now);
        let rest = rests.entry(subject).or_insert(now);
        *rest = (*rest).max(now) + subject.policy().every;
        false
    }

    fn subjects(&self, account: &str, address: Option<IpAddr>) -> [Option<Subject>; 3] {
        let account = Subject::Account(self.inner.names.hash_one(account));
        let near = address.map(|address| Subject::Address(neighbourhood(address)));
        let v6 = address.filter(|address| address.to_canonical().is_ipv6());
        [Some(account), near, v6.map(|address| Subject::Network(network(address)))]
    }
}

impl Subject {
    const fn policy(self) -> Policy {
        match self {
            Self::Account(_) => PER_ACCOUNT,
            Self::Address(_) => PER_ADDRESS,
            Self::Network(_) => PER_NETWORK,
            Self::Failed(_) => FAILED,
            Self::Welcome(_) => WELCOMES_PER_ACCOUNT,
            Self::Tokens(_) => TOKENS_PER_ADDRESS,
        }
    }

    fn wait(self, rests: &HashMap<Self, Instant>, now: Instant) -> Duration {
        self.wait_for(1, rests, now)
    }

    /// How long until so many attempts may be made at once.
    fn wait_for(self, attempts: u32, rests: &HashMap<Self, Instant>, now: Instant) -> Duration {
        let Policy { burst, every } = self.policy();
        let busy = rests.get(&self).map_or(Duration::ZERO, |rest| rest.saturating_duration_since(now));
        busy.saturating_sub(every * burst.saturating_sub(attempts))
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
            throttle.admit("ada@example.com", address(last), 1).unwrap();
        }
        let wait = throttle.admit("ada@example.com", address(9), 1).unwrap_err();
        assert!(wait <= Duration::from_secs(30) && wait > Duration::from_secs(29), "{wait:?}");
        throttle.admit("bob@example.com", address(9), 1).unwrap();
        clock.advance(Duration::from_secs(30));
        throttle.admit("ada@example.com", address(9), 1).unwrap();
        throttle.admit("ada@example.com", address(9), 1).unwrap_err();
    }

    #[test]
    fn an_address_is_slowed_down_whatever_the_accounts() {
        let throttle = Throttle::new(Clock::default());
        for number in 0..30 {
            throttle.admit(&format!("user{number}@example.com"), address(1), 1).unwrap();
        }
        throttle.admit("user30@example.com", address(1), 1).unwrap_err();
        throttle.admit("user30@example.com", address(2), 1).unwrap();
    }

    #[test]
    fn wrong_tokens_are_slowed_per_address_and_not_for_ever() {
        let clock = Clock::default();
        let throttle = Throttle::new(clock.clone());
        assert!((0..20).all(|_| !throttle.wrong_token(address(1))));
        assert!((0..1_000).all(|_| throttle.wrong_token(address(1))));
        assert!(!throttle.wrong_token(address(2)));
        throttle.admit("ada@example.com", address(1), 1).unwrap();
        clock.advance(Duration::from_secs(3));
        assert!(!throttle.wrong_token(address(1)), "a flood does not lengthen the time");
        assert!(throttle.wrong_token(address(1)));
    }

    #[test]
    fn success_is_forgiven() {
        let throttle = Throttle::new(Clock::default());
        for _ in 0..100 {
            throttle.admit("ada@example.com", address(1), 1).unwrap();
            throttle.forgive("ada@example.com", address(1));
        }
    }

    #[test]
    fn even_success_has_an_end() {
        let clock = Clock::default();
        let throttle = Throttle::new(clock.clone());
        for _ in 0..100 {
            throttle.forgive("ada@example.com", address(1));
        }
        let wait = throttle.admit("ada@example.com", address(1), 1).unwrap_err();
        throttle.admit("bob@example.com", address(1), 1).unwrap();
        clock.advance(wait + Duration::from_millis(1));
        throttle.admit("ada@example.com", address(1), 1).unwrap();
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::new(Clock::default());
        for number in 0..u32::try_from(CAPACITY).unwrap() {
            throttle.admit(&number.to_string(), Some(IpAddr::from(number.to_be_bytes())), 1).unwrap();
        }
        assert!(throttle.inner.lock().len() <= CAPACITY);
    }

    #[test]
    fn a_neighbourhood_of_ipv6_is_one_address() {
        let throttle = Throttle::new(Clock::default());
        let near = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
        for number in 0..30 {
            throttle.admit(&format!("user{number}@example.com"), near(number), 1).unwrap();
        }
        throttle.admit("user30@example.com", near(99), 1).unwrap_err();
    }

    #[test]
    fn a_network_of_ipv6_is_slowed_down_whatever_its_neighbourhoods() {
        let throttle = Throttle::new(Clock::default());
        let near = |subnet: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, subnet, 0, 0, 0, 1]));
        for number in 0..60 {
            throttle.admit(&format!("user{number}@example.com"), near(number), 1).unwrap();
        }
        throttle.admit("user60@example.com", near(60), 1).unwrap_err();
        throttle.admit("user60@example.com", near(0x100), 1).unwrap();
        throttle.forgive("user60@example.com", near(0x100));
        throttle.forgive("user0@example.com", near(0));
        throttle.admit("user60@example.com", near(60), 1).unwrap();
    }

    #[test]
    fn who_has_failed_lately_is_not_the_first() {
        let clock = Clock::default();
        let throttle = Throttle::new(clock.clone());
        assert!(
            throttle.is_first(address(1)) && !throttle.is_first(address(1)) && throttle.is_first(address(2))
        );
        throttle.trust(address(1));
        assert!(throttle.is_first(address(1)) && !throttle.is_first(None));
        clock.advance(FAILED.every);
        assert!(throttle.is_first(address(1)));
    }
}
