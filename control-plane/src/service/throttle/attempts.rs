//! Slows guessing down: a few attempts at once, then one per interval. Strangers' attempts count for the account at that address, for
//! the address, for the network of IPv6 that one household or server has, and, last and most generously, for the account wherever they come
//! from. Whoever comes with something that only a success has given (a device that has signed in before, a session) has counts of their own,
//! which no stranger's attempt moves; those count together for the account, too.
//! An attempt counts before the password is looked at; success gives it back.
//!
//! Memory is bounded: an entry that is back at rest is as good as none, and when too many are not, those closest to rest
//! go first.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::subject::Subject;
use crate::domain::addresses::{neighbourhood, network};
use crate::service::clock::Clock;
use crate::store::Store;

/// The throttle. Clones share it.
#[derive(Clone)]
pub struct Throttle {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) clock: Clock,
    /// Accounts are kept as keyed hashes, so that an attempt with a long name costs no more than another. All control planes on one
    /// database have one key.
    names: [u8; 32],
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// When each would be back at rest.
    pub(super) rests: HashMap<Subject, Instant>,
    /// What the other control planes have not heard; `None` where there are none.
    pub(super) untold: Option<HashMap<Subject, Untold>>,
}

/// What became of a subject since it was told last.
#[derive(Clone, Copy, Default)]
pub(super) struct Untold {
    pub anew: bool,
    pub more_ms: i64,
}

/// Most subjects that wait to be told; beyond that strangers have only this control plane's count.
pub(super) const MOST_UNTOLD: usize = 1_000;
/// Most entries.
pub(super) const CAPACITY: usize = 20_000;

/// Who tries, at what.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The account, as it was typed but for case.
    pub account: &'a str,
    /// Where it comes from.
    pub from: Option<IpAddr>,
    /// A text that only a success at this account can have given: its device, or a session. `None` for strangers.
    pub known: Option<&'a str>,
}

impl<'a> Attempt<'a> {
    /// Of somebody who shows nothing.
    pub const fn of_stranger(account: &'a str, from: Option<IpAddr>) -> Self {
        Self { account, from, known: None }
    }
}

impl Throttle {
    /// One that nobody has tried yet.
    pub fn new(clock: Clock) -> Self {
        Self::with(clock, random_key(), State::default())
    }

    /// The same; where other control planes may be on the database, attempts count for all (see `exchange`).
    pub fn over(store: &Store, clock: Clock) -> Self {
        if !store.is_shared() {
            return Self::new(clock);
        }
        let names = Sha256::digest(format!("flamegate throttle {}", store.head().epoch)).into();
        Self::with(clock, names, State { untold: Some(HashMap::new()), ..State::default() })
    }

    fn with(clock: Clock, names: [u8; 32], state: State) -> Self {
        Self { inner: Arc::new(Inner { clock, names, state: Mutex::new(state) }) }
    }

    /// Counts so many attempts, all or none; the error is how long to wait for them.
    pub fn admit(&self, attempt: Attempt<'_>, attempts: u32) -> Result<(), Duration> {
        self.admit_all(attempt, None, attempts)
    }

    /// The same, counted for one subject more.
    pub(super) fn admit_all(
        &self,
        attempt: Attempt<'_>,
        more: Option<Subject>,
        attempts: u32,
    ) -> Result<(), Duration> {
        let now = self.inner.clock.instant();
        let subjects = self.subjects(attempt).into_iter().chain([more]);
        let welcome = self.welcome(attempt.account);
        let mut state = self.inner.lock();
        let waits = subjects.clone().flatten().map(|subject| subject.wait_for(attempts, &state.rests, now));
        let wait = waits.fold(welcome.wait(&state.rests, now), Duration::max);
        if !wait.is_zero() {
            return Err(wait);
        }
        for subject in subjects.flatten() {
            state.add(subject, attempts, now);
        }
        Ok(())
    }

    /// Takes back an attempt that was counted and not needed.
    pub fn give_back(&self, attempt: Attempt<'_>) {
        let subjects = self.subjects(attempt);
        let mut state = self.inner.lock();
        for subject in subjects.into_iter().flatten() {
            state.give_back(subject);
        }
    }

    /// The attempt was a success: the device, or the account at that address, is at rest, and the attempt counts for nothing else. What
    /// others have tried stays counted. Only a hundred successes in a row are too many as well.
    pub fn forgive(&self, attempt: Attempt<'_>) {
        let (now, welcome) = (self.inner.clock.instant(), self.welcome(attempt.account));
        let [nearest, others @ ..] = self.subjects(attempt);
        let mut state = self.inner.lock();
        state.add(welcome, 1, now);
        if let Some(nearest) = nearest {
            state.forgive(nearest);
        }
        for other in others.into_iter().flatten() {
            state.give_back(other);
        }
    }

    /// Whether no attempt from there has failed lately. From now on one has, until it is [`Self::trust`]ed.
    pub fn is_first(&self, address: Option<IpAddr>) -> bool {
        let Some(subject) = address.map(|address| Subject::Failed(network(address))) else { return false };
        let now = self.inner.clock.instant();
        let mut state = self.inner.lock();
        let is_first = subject.wait(&state.rests, now).is_zero();
        state.forgive(subject);
        state.add(subject, 1, now);
        is_first
    }

    /// Somebody from there has signed in.
    pub fn trust(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.inner.lock().forgive(Subject::Failed(network(address)));
        }
    }

    /// Counts a wrong token; true when there were so many of the address that it is to be slowed down. Only wrong ones are
    /// counted, so behind one address the holders of good ones notice nothing.
    pub fn wrong_token(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return false };
        let (now, subject) = (self.inner.clock.instant(), Subject::Tokens(neighbourhood(address)));
        let mut state = self.inner.lock();
        if !subject.wait(&state.rests, now).is_zero() {
            return true;
        }
        state.add(subject, 1, now);
        false
    }

    fn welcome(&self, account: &str) -> Subject {
        Subject::Welcome(self.name(&[account.as_bytes()]))
    }

    pub(super) fn name(&self, parts: &[&[u8]]) -> u128 {
        let mut hash = Sha256::new().chain_update(self.inner.names);
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                // What is behind it has a length of its own, or no zero byte: no two attempts have one name by chance.
                hash.update([0]);
            }
            hash.update(part);
        }
        hash.finalize().iter().take(16).fold(0, |name, byte| (name << 8) | u128::from(*byte))
    }

    /// What an attempt counts for; the first is forgiven by a success.
    fn subjects(&self, Attempt { account, from, known }: Attempt<'_>) -> [Option<Subject>; 4] {
        let whole = self.name(&[account.as_bytes()]);
        if let Some(known) = known {
            let device = self.name(&[account.as_bytes(), known.as_bytes()]);
            return [Some(Subject::Device(device)), Some(Subject::Devices(whole)), None, None];
        }
        let near = from.map(neighbourhood);
        let pair = self.name(&[account.as_bytes(), &near.unwrap_or_default().to_be_bytes()]);
        let v6 = from.filter(|address| address.to_canonical().is_ipv6());
        [
            Some(Subject::Pair(pair)),
            Some(Subject::Account(whole)),
            near.map(Subject::Address),
            v6.map(|address| Subject::Network(network(address))),
        ]
    }
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, subject: Subject, attempts: u32, now: Instant) {
        make_room(&mut self.rests, now);
        let rest = self.rests.entry(subject).or_insert(now);
        let more = subject.policy().every * attempts;
        *rest = (*rest).max(now) + more;
        self.tell(subject, i64::try_from(more.as_millis()).unwrap_or(i64::MAX));
    }

    pub(super) fn give_back(&mut self, subject: Subject) {
        let every = subject.policy().every;
        if let Some(rest) = self.rests.get_mut(&subject) {
            *rest = rest.checked_sub(every).unwrap_or(*rest);
            self.tell(subject, -i64::try_from(every.as_millis()).unwrap_or(0));
        }
    }

    fn forgive(&mut self, subject: Subject) {
        if self.rests.remove(&subject).is_some()
            && let Some(untold) = self.untold_of(subject)
        {
            *untold = Untold { anew: true, more_ms: 0 };
        }
    }

    fn tell(&mut self, subject: Subject, more_ms: i64) {
        if let Some(untold) = self.untold_of(subject) {
            untold.more_ms = untold.more_ms.saturating_add(more_ms);
        }
    }

    /// What is to be told of it; `None` where nobody is to be told, and while too many others wait for that.
    fn untold_of(&mut self, subject: Subject) -> Option<&mut Untold> {
        let untold = self.untold.as_mut()?;
        let has_room = untold.len() < MOST_UNTOLD || untold.contains_key(&subject);
        has_room.then(|| untold.entry(subject).or_default())
    }
}

/// Another one in each process.
fn random_key() -> [u8; 32] {
    let random = RandomState::new();
    let mut key = [0; 32];
    for (place, part) in key.chunks_mut(8).enumerate() {
        part.copy_from_slice(&random.hash_one(place).to_be_bytes());
    }
    key
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
