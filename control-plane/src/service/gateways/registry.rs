//! The map of gateways: under which id a poll counts, and who makes room when it is full.
//!
//! It never refuses a poll. When it is full, the credential with the most entries makes room, so that inventing names under
//! one credential costs the others nothing; of its entries those go that are missed least. When one goes that may still serve,
//! receipts say so.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::entry::{Gateway, Keeper, News};
use super::hello::{Hello, MARGIN};
use super::shared::Shared;
use crate::domain::credentials::Credential;
use crate::domain::gateways::{GatewayView, PUSHED_OUT};
use crate::domain::log::Head;

/// Most gateways remembered: a client that invents names must not fill the memory.
pub(super) const MAX_GATEWAYS: usize = 10_000;
/// How many make room at once: looking for them looks at everybody.
const ROOM: usize = MAX_GATEWAYS / 64;
/// With several replicas, most names of one credential that never had a table and hold no poll, at each of them: every one has a row. A
/// gateway that starts holds its poll, and says that it has a table with the next one; should it be among the oldest all the same, that one makes a new row.
pub(super) const MAX_WITHOUT_TABLE: usize = 1_000;
/// How often these are counted: once in so many new names.
pub(super) const COUNTED_ONCE_IN: usize = 64;
/// A gateway that was not seen for this long is forgotten: Envoy processes come and go under new names.
const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// The same for one that never acknowledged.
const FORGET_NEW_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// Digits of the session's SHA-256 that tell processes of one name apart: four, and more only where four are taken.
const DIGITS: [usize; 3] = [4, 16, 64];

/// The map behind its lock.
#[derive(Default)]
pub(super) struct Registry(Mutex<Entries>);

/// The map.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) by_id: HashMap<String, Gateway>,
    /// Ids whose rows have to go.
    pub gone: Vec<String>,
    /// What is known of the other replicas, where there can be some.
    pub(super) shared: Option<Shared>,
}

impl Registry {
    /// A panic elsewhere leaves the map as it was, so it is still good.
    pub fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Gateway)> {
        self.by_id.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Gateway)> {
        self.by_id.iter_mut()
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut Gateway> {
        self.by_id.get_mut(id)
    }

    /// What is acknowledged from now on rests on this head.
    pub fn rest_on(&mut self, head: &Head) {
        if let Some(shared) = &mut self.shared {
            shared.rest_on(head);
        }
    }

    /// Replicas that may have answered somebody below this revision of whom we do not know; none where there are no others.
    pub fn behind(&self, revision: u64, turn: Option<u64>) -> Vec<String> {
        let shared = self.shared.as_ref().zip(turn);
        shared.map(|(shared, turn)| shared.behind(revision, turn)).unwrap_or_default()
    }

    pub fn insert(&mut self, id: String, gateway: Gateway) {
        self.by_id.insert(id, gateway);
    }

    /// Notes a poll; the id that it counts under.
    pub fn begin(&mut self, hello: Hello, over: Arc<Notify>, now: Instant, time: Timestamp) -> String {
        let id = self.id_of(&hello);
        if !self.by_id.contains_key(&id) {
            self.make_room(time, now);
            self.bound_those_without_table(now);
        }
        let claims = self.shared.as_ref().is_some_and(Shared::has_others);
        let Hello { credential, session, version, wait, stale, workers, accepts, shadow, .. } = hello;
        let new = || Gateway::seen(credential, session, (time, time), now);
        let gateway = self.by_id.entry(id.clone()).or_insert_with(new);
        let is_news = claims
            || !gateway.is_known
            || gateway.keeper != Keeper::Us
            || (gateway.session.is_none() && session.is_some())
            || (gateway.stale, gateway.workers, gateway.accepts, gateway.shadow)
                != (stale, workers, accepts, shadow);
        gateway.take(if is_news { News::Now } else { News::Later });
        gateway.claims |= claims;
        // One held poll per gateway: whoever asks again has lost the answer to the last one.
        gateway.end_poll();
        gateway.newest = Some(over);
        gateway.tie(session);
        gateway.version = version;
        gateway.stale = stale;
        gateway.workers = workers;
        gateway.accepts = accepts;
        gateway.shadow = shadow;
        gateway.last_seen = time;
        gateway.held += 1;
        gateway.expected_until = now + wait * 2 + MARGIN;
        id
    }

    /// The plain id for whoever has it or comes first; otherwise one with some digits of the session's SHA-256. A poll
    /// without a session under an id that is tied to one is somebody else as well.
    fn id_of(&self, hello: &Hello) -> String {
        let plain = format!("{}/{}", hello.credential.name(), hello.name);
        let theirs = |id: &str| {
            self.by_id
                .get(id)
                .is_none_or(|gateway| gateway.session.is_none() || gateway.session == hello.session)
        };
        let Some(session) = hello.session else {
            return if theirs(&plain) { plain } else { format!("{plain}~none") };
        };
        let digits = hex(&session);
        let other = DIGITS.map(|count| format!("{plain}~{}", &digits[..count]));
        // Who has been somebody else stays that.
        if let Some(known) = other
            .iter()
            .find(|id| self.by_id.get(*id).is_some_and(|gateway| gateway.session == hello.session))
        {
            return known.clone();
        }
        if theirs(&plain) {
            return plain;
        }
        let [short, long, whole] = other;
        [short, long].into_iter().find(|id| !self.by_id.contains_key(id)).unwrap_or(whole)
    }

    /// Forgets a gateway, or marks it as leaving, for some minutes, while it is connected.
    pub fn forget(&mut self, id: &str, now: Instant) -> Option<GatewayView> {
        let gateway = self.by_id.get_mut(id)?;
        gateway.leaving = Some(now);
        // Its row goes; if it stays after all, it gets another.
        gateway.saved = None;
        // Its replica hears of it when we take it, and takes it back with its next poll.
        let view = gateway.view(id, now);
        if view.connected {
            gateway.take(News::Now);
        } else {
            let gateway = self.by_id.remove(id)?;
            self.tell_forgotten(id, &gateway, now, false);
        }
        Some(view)
    }

    /// With several replicas, the others have to hear who was forgotten here, or to find no row of it.
    fn tell_forgotten(&mut self, id: &str, gateway: &Gateway, now: Instant, vanishes: bool) {
        if let Some(shared) = self.shared.as_mut().filter(|_| gateway.is_known) {
            shared.forget(gateway.say(id, now), vanishes);
        }
    }

    /// Forgets all of a credential that are not connected; their ids.
    pub fn forget_cut_off(&mut self, credential: &str, now: Instant) -> Vec<String> {
        let is_gone =
            |gateway: &mut Gateway| gateway.credential.name() == credential && !gateway.is_connected(now);
        let gone: Vec<_> = self.by_id.extract_if(|_, gateway| is_gone(gateway)).collect();
        gone.iter().for_each(|(id, gateway)| self.tell_forgotten(id, gateway, now, false));
        gone.into_iter().map(|(id, _)| id).collect()
    }

    /// Forgets who was not seen for a day, after minutes those who never acknowledged, and who was leaving. Who keeps a gateway
    /// forgets it.
    pub fn forget_old(&mut self, now: Instant, time: Timestamp) {
        let is_gone = |gateway: &mut Gateway| {
            let patience = if gateway.has_table { FORGET_AFTER } else { FORGET_NEW_AFTER };
            let recent = time.duration_since(gateway.last_seen) <= patience;
            let is_expected = !gateway.is_leaving(now) || gateway.is_connected(now);
            gateway.held == 0 && gateway.keeper != Keeper::Other && !(recent && is_expected)
        };
        let gone: Vec<_> = self.by_id.extract_if(|_, gateway| is_gone(gateway)).collect();
        for (id, gateway) in gone {
            self.drop_row(id, &gateway, now, false);
        }
    }

    /// Of who was forgotten no row stays.
    fn drop_row(&mut self, id: String, gateway: &Gateway, now: Instant, vanishes: bool) {
        self.tell_forgotten(&id, gateway, now, vanishes);
        if gateway.stored {
            self.gone.push(id);
        }
    }

    /// When it is full, some of the credential with the most entries go: first who never acknowledged, then who holds no
    /// poll, and of those the youngest, for that is what a flood is.
    pub(super) fn make_room(&mut self, time: Timestamp, now: Instant) {
        if self.by_id.len() < MAX_GATEWAYS {
            return;
        }
        let mut counts: HashMap<&Credential, usize> = HashMap::new();
        for gateway in self.by_id.values() {
            *counts.entry(&gateway.credential).or_default() += 1;
        }
        let Some(largest) = counts.into_iter().max_by_key(|(_, count)| *count).map(|(most, _)| most.clone())
        else {
            return;
        };
        let pushed_out = pushed_out_id(&largest);
        let candidates =
            self.by_id.iter().filter(|(id, gateway)| gateway.credential == largest && **id != pushed_out);
        let mut ranked: Vec<_> = candidates
            .map(|(id, gateway)| {
                ((gateway.has_table, gateway.held > 0, Reverse(gateway.first_seen)), id.clone())
            })
            .collect();
        ranked.sort_unstable();
        let mut missed = 0;
        for (_, id) in ranked.into_iter().take(ROOM) {
            missed += usize::from(self.push_out(id, now).is_some_and(|gateway| gateway.has_table));
        }
        if missed > 0 {
            self.note_pushed_out(pushed_out, largest, missed, (time, now));
        }
    }

    /// With several replicas each name has a row, also one that never has a table, and whoever has a credential can invent them without end:
    /// of each credential the oldest go. Those of other replicas these bound themselves.
    fn bound_those_without_table(&mut self, now: Instant) {
        let Some(shared) = &mut self.shared else { return };
        shared.new_names += 1;
        if shared.new_names < COUNTED_ONCE_IN {
            return;
        }
        shared.new_names = 0;
        let mut without: HashMap<&Credential, Vec<(Timestamp, &String)>> = HashMap::new();
        for (id, gateway) in &self.by_id {
            if !gateway.has_table && gateway.held == 0 && gateway.keeper != Keeper::Other {
                without.entry(&gateway.credential).or_default().push((gateway.last_seen, id));
            }
        }
        let mut gone = Vec::new();
        for mut names in without.into_values() {
            names.sort_unstable();
            let beyond = names.len().saturating_sub(MAX_WITHOUT_TABLE);
            gone.extend(names.into_iter().take(beyond).map(|(_, id)| id.clone()));
        }
        gone.into_iter().for_each(|id| drop(self.push_out(id, now)));
    }

    /// One goes for many that are new.
    pub(super) fn push_out(&mut self, id: String, now: Instant) -> Option<Gateway> {
        let gateway = self.by_id.remove(&id)?;
        self.drop_row(id, &gateway, now, true);
        Some(gateway)
    }

    /// Somebody who may still serve is not known any more. One entry stands for all of them: never connected and never
    /// confirming, it is in every receipt for a day, unless an operator forgets it.
    fn note_pushed_out(
        &mut self,
        id: String,
        of: Credential,
        missed: usize,
        (time, now): (Timestamp, Instant),
    ) {
        tracing::warn!(
            credential = of.name(),
            missed,
            "too many gateways: some that had acknowledged were pushed out, and \
            receipts are not confirmed; after looking for them: flamegate-control gateways forget --credential NAME"
        );
        let entry = self.by_id.entry(id).or_insert_with(|| Gateway::seen(of, None, (time, time), now));
        entry.has_table = true;
        entry.last_seen = time;
        entry.take(News::Now);
    }
}

/// Under this id stand all of a credential that were pushed out. No gateway can have it: `~` is in no name.
fn pushed_out_id(of: &Credential) -> String {
    format!("{}/{PUSHED_OUT}", of.name())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
