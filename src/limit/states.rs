//! The bytes of one limiter bucket: how much each account has used.
//!
//! A value is empty or a version byte and 40-byte entries sorted by subject: subject (16), emission interval in
//! nanoseconds (8), burst (4), second in which these numbers last took a token (4), TAT (8); numbers are little-endian.
//! A subject has an entry for each set of numbers that it is limited by: one, but for a while after a change, or for as
//! long as two records disagree. **A request counts in all of them that are in use**, so no set of numbers undoes what
//! another one has counted, whichever is the newer. Once there are two, the subject has *sums* as well, entries with a
//! burst of 0: what was used by all together (`sums`). Numbers without an entry begin with that, and numbers that did
//! not count for a while have used at least as much.
//!
//! A subject's entries are dropped together, once all are at rest. Bytes that are not such a value count as empty:
//! limits start over, nobody is locked out.

mod entry;
mod sums;

pub use self::entry::ENTRY_LEN;
use self::entry::{Entry, State, decode, is_sum, push, push_sum, seconds, subject, tat};
use self::sums::Counted;
use super::gcra::{Quota, Tat};
use super::slot::{Account, Subject};
use crate::host::Monotonic;

/// The entries of one bucket.
#[derive(Clone, Copy)]
pub struct States<'a> {
    entries: &'a [Entry],
    malformed: bool,
}

/// What a bucket knows of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It has this state.
    Own(Tat),
    /// Its numbers are new for the subject, or have not counted for a while; by others so much is used, as a state under
    /// these.
    Carried(Tat),
    /// Its subject is at rest, by all numbers.
    Nothing,
}

/// A new state of an account.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The state.
    pub tat: Tat,
    /// Requests that the subject's other numbers have to count, too.
    pub requests: u64,
    /// Tokens in the state that went back: the subject's sums have counted them.
    pub back: u32,
    /// Whether the account is in use: somebody who is limited by these numbers asked.
    pub in_use: bool,
}

const VERSION: u8 = 1;
/// Most sets of numbers per subject; the one that was in use the longest ago makes room.
pub const MAX_NUMBERS: usize = 4;

/// What is known of one subject.
struct Group {
    sets: Vec<State>,
    sums: Vec<State>,
}

impl<'a> States<'a> {
    /// Understands a bucket's value; one that it does not understand is empty.
    pub fn parse(bytes: &'a [u8]) -> Self {
        let entries = match bytes.split_first() {
            None => Some([].as_slice()),
            Some((&VERSION, body)) => match body.as_chunks() {
                (entries, []) if entries.is_sorted_by_key(subject) => Some(entries),
                _ => None,
            },
            Some(_) => None,
        };
        Self { entries: entries.unwrap_or_default(), malformed: entries.is_none() }
    }

    /// True for bytes that are no bucket.
    pub const fn is_malformed(self) -> bool {
        self.malformed
    }

    /// What is known of `account`.
    pub fn get(self, account: Account, now: Monotonic) -> Known {
        let (_, group, _) = self.around(account.subject);
        if let Some(own) = alone(group, account) {
            return own.map_or(Known::Nothing, |own| Known::Own(own.tat));
        }
        let group = Group::new(group);
        let carried = group.carry(account.quota, now);
        match group.sets.iter().find(|state| state.quota == account.quota) {
            Some(own) if group.has_counted_all(own) || carried <= own.tat => Known::Own(own.tat),
            _ => Known::Carried(carried),
        }
    }

    /// The value with a change of `account` and without subjects at rest.
    pub fn with(self, account: Account, change: Change, now: Monotonic) -> Vec<u8> {
        let (before, group, after) = self.around(account.subject);
        let mut bytes = self.begin();
        push_alive(&mut bytes, before, now);
        if let Some(own) = alone(group, account) {
            let used_at = if change.in_use { seconds(now) } else { own.map_or(0, |own| own.used_at) };
            if change.tat > now {
                push(&mut bytes, account.subject, State { quota: account.quota, used_at, tat: change.tat });
            }
            push_alive(&mut bytes, after, now);
            return finish(bytes);
        }
        let Group { sets, sums } = Group::new(group).changed(account, change, now);
        if sets.iter().chain(&sums).any(|state| state.tat > now) {
            sets.into_iter().for_each(|state| push(&mut bytes, account.subject, state));
            sums.into_iter().for_each(|sum| push_sum(&mut bytes, account.subject, sum));
        }
        push_alive(&mut bytes, after, now);
        finish(bytes)
    }

    /// The value without subjects at rest.
    pub fn alive(self, now: Monotonic) -> Vec<u8> {
        let mut bytes = self.begin();
        push_alive(&mut bytes, self.entries, now);
        finish(bytes)
    }

    /// True when [`Self::alive`] would leave something out.
    pub fn has_rest(self, now: Monotonic) -> bool {
        self.malformed || self.entries.chunk_by(same_subject).any(|group| !is_alive(group, now))
    }

    /// The entries before a subject, its own, and those behind it.
    fn around(self, wanted: Subject) -> (&'a [Entry], &'a [Entry], &'a [Entry]) {
        let place = self.entries.partition_point(|entry| subject(entry) < wanted);
        let (before, from) = self.entries.split_at_checked(place).unwrap_or_default();
        let own = from.iter().take_while(|entry| subject(entry) == wanted).count();
        let (own, after) = from.split_at_checked(own).unwrap_or_default();
        (before, own, after)
    }

    /// A value with room for one subject more.
    fn begin(self) -> Vec<u8> {
        let entries = self.entries.len().saturating_add(2);
        let mut bytes = Vec::with_capacity(entries.saturating_mul(ENTRY_LEN));
        bytes.push(VERSION);
        bytes
    }
}

/// The account's state, if there is one, when its subject has no other numbers. Most have none, so these need no [`Group`].
fn alone(group: &[Entry], account: Account) -> Option<Option<State>> {
    match group {
        [] => Some(None),
        [only] => Some(Some(decode(only))).filter(|own| own.is_some_and(|own| own.quota == account.quota)),
        _ => None,
    }
}

impl Group {
    fn new(entries: &[Entry]) -> Self {
        let (sums, sets): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| is_sum(entry));
        let [sets, mut sums] = [sets, sums].map(|part| part.into_iter().map(decode).collect::<Vec<_>>());
        // A set that has always been alone has counted everything, and was not cut.
        if let ([only], []) = (sets.as_slice(), sums.as_slice()) {
            sums.push(State::sum(only.quota.emission_ns(), only.used_at, only.tat));
        }
        Self { sets, sums }
    }

    /// What is used at least, as a state under `quota`: the largest sum, or what the numbers that were used last say, which may
    /// be slower than others in use.
    fn carry(&self, quota: Quota, now: Monotonic) -> Tat {
        let carry = |state: &State| quota.carry(state.quota, state.tat, now);
        // Of two in one second the one that has used more, since the order is not known.
        let last = self.sets.iter().max_by_key(|state| (state.used_at, carry(state)));
        last.map_or(0, carry).max(sums::carry(&self.sums, quota, now))
    }

    /// Whether nothing was counted since `set` stopped to count along.
    fn has_counted_all(&self, set: &State) -> bool {
        self.sums.iter().all(|sum| set.counts(sum.used_at))
    }

    /// The account's own state replaced, and the requests counted by all others in use and by the sums.
    fn changed(mut self, account: Account, change: Change, now: Monotonic) -> Self {
        let second = seconds(now);
        let place = self.sets.iter().position(|state| state.quota == account.quota);
        let settled_at = place.map_or(0, |place| self.sets.swap_remove(place).used_at);
        let used_at = if change.in_use { second } else { settled_at };
        if self.sets.len() >= MAX_NUMBERS {
            self.sets.sort_by_key(|state| std::cmp::Reverse(state.used_at));
            self.sets.truncate(MAX_NUMBERS.saturating_sub(1));
        }
        for other in self.sets.iter_mut().filter(|other| change.requests > 0 && other.counts(second)) {
            other.tat = other.quota.charge(other.tat, now, change.requests);
        }
        self.sets.insert(0, State { quota: account.quota, used_at, tat: change.tat });
        let in_use = self.sets.iter().filter(|state| state.counts(second));
        let counted = Counted {
            fastest_ns: in_use.map(|state| state.quota.emission_ns()).min(),
            requests: change.requests,
            back: change.back,
            used_at: (change.in_use || change.requests > 0).then_some(second),
        };
        Self { sums: sums::counted(self.sums, counted, now), ..self }
    }
}

fn push_alive(bytes: &mut Vec<u8>, entries: &[Entry], now: Monotonic) {
    for group in entries.chunk_by(same_subject).filter(|group| is_alive(group, now)) {
        bytes.extend_from_slice(group.as_flattened());
    }
}

/// A bucket of which nothing is left is empty.
fn finish(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() == 1 {
        bytes.clear();
    }
    bytes
}

fn is_alive(group: &[Entry], now: Monotonic) -> bool {
    group.iter().any(|entry| tat(entry) > now)
}

fn same_subject(a: &Entry, b: &Entry) -> bool {
    subject(a) == subject(b)
}

#[cfg(test)]
mod tests;
