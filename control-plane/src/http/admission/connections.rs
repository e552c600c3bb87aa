//! Who has how many connections. Each begins as a stranger's; whoever shows a credential on it moves it to the people's, the
//! operators' or the gateways' share. So strangers can take only their own room, and there is always a place for the next one: when their room is
//! full, or an address has half of it, one that rests after an answer is closed, and if none does, the one that has been a stranger
//! for longest. A gateway needs one round trip to show its token, a flood would have to replace the whole room within that.
//!
//! Of a share, one owner has a part only: what somebody stole opens no more of it. What is beyond that stays a stranger's, and
//! so does the connection of whoever is refused later.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::addresses::neighbourhood;
use crate::domain::credentials::Credential;
use crate::domain::tokens::Digest;
use crate::service::credentials::Doors;
use crate::service::metrics::Census;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Has shown nothing yet.
    Stranger,
    /// Has shown a session, or a token of one workspace.
    Person,
    /// Has shown an admin token.
    Operator,
    /// Has shown a token for gateways.
    Gateway,
}

/// What somebody has shown on a connection.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A session of the user with this row.
    Person(i64),
    /// The operators' token of this digest, which is for one workspace.
    Tenant(Digest),
    /// The admin token of this digest.
    Operator(Digest),
    /// A credential of gateways.
    Gateway(Credential),
}

/// How many connections of each class there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    strangers: usize,
    /// Strangers of one address; `None` where one address stands for many, as behind a proxy.
    per_address: Option<usize>,
    /// People, and as many operators: nobody in the pages takes the room of who revokes keys.
    people: usize,
    gateways: usize,
}

/// The connections of a listener. Clones share them.
#[derive(Clone)]
pub struct Connections {
    inner: Arc<Inner>,
}

/// One connection's place. Dropping the last clone gives it back.
#[derive(Clone)]
pub struct Seat {
    held: Arc<Held>,
}

struct Inner {
    shares: Shares,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    seats: BTreeMap<u64, Taken>,
    /// The strangers among them, oldest first.
    strangers: BTreeSet<u64>,
    /// The strangers that have had an answer and wait for the next request. Not those that have sent nothing yet: a gateway comes as one
    /// of them, and whoever kept theirs at work would keep it out.
    resting: BTreeSet<u64>,
    by_address: HashMap<u128, usize>,
    by_owner: HashMap<Owner, usize>,
    census: Census,
}

struct Taken {
    /// Nobody is a stranger.
    owner: Option<Owner>,
    address: u128,
    leave: Arc<Notify>,
}

struct Held {
    inner: Arc<Inner>,
    number: u64,
    leave: Arc<Notify>,
}

/// Fewest for each class, however few connections are asked for.
const FEWEST: usize = 32;
/// Most of one person: a browser opens six to a host.
const MOST_OF_PERSON: usize = 16;

impl Owner {
    const fn class(&self) -> Class {
        match self {
            Self::Person(_) | Self::Tenant(_) => Class::Person,
            Self::Operator(_) => Class::Operator,
            Self::Gateway(_) => Class::Gateway,
        }
    }
}

impl Shares {
    /// Nine tenths for gateways, and a tenth each for operators, people and strangers, of whom one address has at most half unless it
    /// is a proxy's.
    pub fn of(most: usize, behind_proxy: bool) -> Self {
        let tenth = most / 10;
        let few = tenth.max(FEWEST);
        let per_address = (!behind_proxy).then_some(few / 2);
        Self { strangers: few, per_address, people: few, gateways: (most - tenth).max(1) }
    }

    /// Few for all, for a listener that neither people nor gateways use.
    pub const fn few() -> Self {
        Self { strangers: FEWEST, per_address: None, people: FEWEST, gateways: 0 }
    }

    const fn of_class(&self, class: Class) -> usize {
        match class {
            Class::Stranger => self.strangers,
            Class::Person | Class::Operator => self.people,
            Class::Gateway => self.gateways,
        }
    }

    /// Of these, how many one owner may have: three quarters, so that nobody has them all.
    const fn of_owner(&self, class: Class) -> usize {
        match class {
            Class::Person => MOST_OF_PERSON,
            class => three_quarters(self.of_class(class)),
        }
    }
}

/// At least one.
pub(crate) const fn three_quarters(number: usize) -> usize {
    let most = number / 4 * 3 + number % 4 * 3 / 4;
    if most == 0 { 1 } else { most }
}

impl Connections {
    /// None yet.
    pub fn new(shares: Shares) -> Self {
        Self { inner: Arc::new(Inner { shares, state: Mutex::default() }) }
    }

    /// A place for a connection that was just accepted.
    pub fn enter(&self, address: IpAddr) -> Seat {
        let address = neighbourhood(address);
        let mut state = self.inner.lock();
        let of_address = state.by_address.get(&address).copied().unwrap_or_default();
        if self.inner.shares.per_address.is_some_and(|most| of_address >= most) {
            state.turn_away(|taken| taken.address == address);
        }
        state.turn_away_beyond(self.inner.shares.strangers.saturating_sub(1));
        let (number, leave) = (state.next, Arc::new(Notify::new()));
        state.next += 1;
        state.seats.insert(number, Taken { owner: None, address, leave: Arc::clone(&leave) });
        state.count(number, address, None);
        Seat { held: Arc::new(Held { inner: Arc::clone(&self.inner), number, leave }) }
    }

    /// Closes a stranger's connection, if there is any.
    pub fn make_room(&self) {
        self.inner.lock().turn_away(|_| true);
    }

    /// What somebody has shown is good no more: all connections on which it was shown are strangers' again.
    pub fn disown(&self, owner: &Owner) {
        let mut state = self.inner.lock();
        let theirs = state.seats.iter().filter(|(_, taken)| taken.owner.as_ref() == Some(owner));
        for number in theirs.map(|(number, _)| *number).collect::<Vec<_>>() {
            state.give(number, None);
        }
        state.turn_away_beyond(self.inner.shares.strangers);
    }

    /// How many there are.
    pub fn census(&self) -> Census {
        self.inner.lock().census
    }
}

impl Doors for Connections {
    fn shut(&self, credential: &Credential) {
        self.disown(&Owner::Gateway(credential.clone()));
    }

    fn shut_operators(&self, token: &Digest) {
        self.disown(&Owner::Operator(*token));
        self.disown(&Owner::Tenant(*token));
    }
}

impl Seat {
    /// Whoever is at the other end has shown this. Where there is no room for another one of the class or of the owner, the
    /// connection goes on as what it was.
    pub fn vouch(&self, owner: Owner) {
        let (inner, class) = (&self.held.inner, owner.class());
        let mut state = inner.lock();
        let Some(was) = state.seats.get(&self.held.number).map(Taken::class) else { return };
        let theirs = state.by_owner.get(&owner).copied().unwrap_or_default();
        let full = state.census.open[class as usize] >= inner.shares.of_class(class);
        if was >= class || full || theirs >= inner.shares.of_owner(class) {
            return;
        }
        state.give(self.held.number, Some(owner));
    }

    /// Whoever is at the other end was refused: the connection is a stranger's again.
    pub fn disown(&self) {
        let mut state = self.held.inner.lock();
        state.give(self.held.number, None);
        state.turn_away_beyond(self.held.inner.shares.strangers);
    }

    /// A request has come.
    pub fn works(&self) {
        self.held.inner.lock().resting.remove(&self.held.number);
    }

    /// It is answered.
    pub fn rests(&self) {
        let mut state = self.held.inner.lock();
        if state.strangers.contains(&self.held.number) {
            state.resting.insert(self.held.number);
        }
    }

    /// True when a gateway is at the other end.
    pub fn is_gateways(&self) -> bool {
        let state = self.held.inner.lock();
        state.seats.get(&self.held.number).is_some_and(|taken| taken.class() == Class::Gateway)
    }

    /// Returns when the connection is to be closed for another one.
    pub async fn turned_away(&self) {
        self.held.leave.notified().await;
    }
}

impl Taken {
    fn class(&self) -> Class {
        self.owner.as_ref().map_or(Class::Stranger, Owner::class)
    }
}

impl State {
    /// Has the connection counted as this owner's, or a stranger's.
    fn give(&mut self, number: u64, owner: Option<Owner>) {
        let Some(taken) = self.seats.get_mut(&number) else { return };
        let (was, address) = (std::mem::replace(&mut taken.owner, owner.clone()), taken.address);
        self.discount(number, address, was.as_ref());
        self.count(number, address, owner);
    }

    /// Closes strangers until there are so many.
    fn turn_away_beyond(&mut self, most: usize) {
        while self.strangers.len() > most && self.turn_away(|_| true) {}
    }

    /// Closes a stranger of those that are `meant`: the oldest that rests, else the oldest. False when there is none.
    fn turn_away(&mut self, meant: impl Fn(&Taken) -> bool) -> bool {
        let is_meant = |number: &&u64| self.seats.get(*number).is_some_and(&meant);
        let number = self.resting.iter().chain(&self.strangers).find(is_meant).copied();
        let Some(number) = number else { return false };
        let Some(taken) = self.seats.remove(&number) else { return false };
        self.discount(number, taken.address, taken.owner.as_ref());
        self.census.turned_away += 1;
        taken.leave.notify_one();
        true
    }

    fn count(&mut self, number: u64, address: u128, owner: Option<Owner>) {
        let class = owner.as_ref().map_or(Class::Stranger, Owner::class);
        self.census.open[class as usize] += 1;
        match owner {
            Some(owner) => *self.by_owner.entry(owner).or_default() += 1,
            None => {
                self.strangers.insert(number);
                *self.by_address.entry(address).or_default() += 1;
            }
        }
    }

    fn discount(&mut self, number: u64, address: u128, owner: Option<&Owner>) {
        let class = owner.map_or(Class::Stranger, Owner::class);
        self.census.open[class as usize] -= 1;
        match owner {
            Some(owner) => one_less(&mut self.by_owner, owner),
            None => {
                self.strangers.remove(&number);
                self.resting.remove(&number);
                one_less(&mut self.by_address, &address);
            }
        }
    }
}

/// What is at nothing costs nothing.
fn one_less<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        // One that was turned away has no place any more.
        if let Some(taken) = state.seats.remove(&self.number) {
            state.discount(self.number, taken.address, taken.owner.as_ref());
        }
    }
}

#[cfg(test)]
mod tests;
