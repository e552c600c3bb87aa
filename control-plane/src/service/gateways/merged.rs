//! What a replica says to the others and hears of them: the part without a database and without waiting.
//!
//! Each gateway has one row in the table, and one replica keeps it: the one that it polled last. A replica that a gateway comes to
//! takes the row; whoever kept it hears of that, and ends the poll that it may still hold, so that a gateway that came back says
//! again where it is. A gateway without a row gets no page before it has one.
//!
//! A replica writes one thing after the other, and each says how far it knew the log (`head`) when it was put together. So whoever
//! finds a `head` at or behind a revision finds every gateway that this replica has ever answered below that revision. That is what
//! receipts rest on.
//!
//! What a database has lost (it was killed, or another one took its place) shows: the replica's own row is older than what it wrote
//! last. It begins again then, under another id, with nothing acknowledged.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::entry::{Gateway, Keeper, News};
use super::hello::RECONNECT;
use super::registry::Entries;
use super::shared::new_id;
use crate::domain::error::Error;
use crate::domain::log::Head;
use crate::domain::replicas::{
    Line, MOST_SEEN_AT_ONCE, Publication, Published, Replica, SharedGateway, Sight,
};

impl Entries {
    /// Whether there is something that receipts may wait for.
    pub fn has_news(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.told <= shared.wanted || shared.has_news())
            || self.by_id.values().any(|gateway| gateway.keeper == Keeper::Us && gateway.news == News::Now)
    }

    /// Whether rows are another's that were not seen as that.
    pub fn misses_some(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| !shared.to_see.is_empty() || shared.seen.is_empty())
    }

    /// What the others do not know yet. `head` was read before.
    pub fn publication(&mut self, head: &Head, now: Instant) -> Option<Publication> {
        let shared = self.shared.as_mut()?;
        shared.turns += 1;
        // Also where we stand: while that is of a lost history, what gateways acknowledge to us is, too.
        shared.rest_on(head);
        let ours = self.by_id.iter_mut().filter(|(_, gateway)| gateway.keeper == Keeper::Us);
        let (mut gateways, mut polls) = (Vec::new(), 0u32);
        for (id, gateway) in ours {
            polls = polls.saturating_add(gateway.held);
            if gateway.news > News::None {
                gateway.news = News::None;
                // After a poll that is answered, the next one may have come to another replica.
                gateway.claims &= gateway.held > 0;
                let (takes, is_new) = (gateway.takes || gateway.claims, !gateway.is_known);
                gateways.push(Line { gateway: gateway.say(id, now), takes, is_new, vanishes: false });
            }
        }
        gateways.append(&mut shared.forgotten);
        // In one order, so that two replicas never wait for each other.
        gateways.sort_by(|a, b| a.gateway.id.cmp(&b.gateway.id));
        Some(Publication {
            replica: shared.me.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: shared.started_at,
            beat: shared.beat + 1,
            head: head.revision,
            polls,
            instead_of: shared.instead_of.as_ref().map(ToString::to_string),
            rests_on: std::mem::take(&mut shared.rests_on).into_iter().collect(),
            gateways,
        })
    }

    /// It was not written, or nobody knows whether it was.
    pub fn not_published(&mut self, publication: Publication) {
        for line in publication.gateways {
            if line.gateway.forgotten {
                if let Some(shared) = &mut self.shared {
                    shared.forgotten.push(line);
                }
            } else if let Some(entry) = self.by_id.get_mut(&line.gateway.id) {
                entry.note(News::Now);
            }
        }
        if let Some(shared) = &mut self.shared {
            shared.rests_on.extend(publication.rests_on);
        }
    }

    /// What became of a publication. Whoever waits for its row may go on, or begins again.
    pub fn published(&mut self, publication: &Publication, what: Published) -> Result<(), Error> {
        let Some(shared) = &mut self.shared else { return Ok(()) };
        let Published::Done { lost, was_alive } = what else { return self.begin_again() };
        if !was_alive {
            // The others have shortened the time for which they expect ours. And who is new waits until it is said once more.
            let ours = self.by_id.values_mut().filter(|gateway| gateway.keeper == Keeper::Us);
            ours.for_each(|gateway| gateway.note(News::Now));
        }
        shared.beat = publication.beat;
        shared.told = shared.turns;
        shared.instead_of = None;
        let me = Arc::clone(&shared.me);
        for Line { gateway, takes, .. } in &publication.gateways {
            let Some(entry) = self.by_id.get_mut(&gateway.id).filter(|entry| entry.keeper == Keeper::Us)
            else {
                continue;
            };
            if lost.contains(&gateway.id) {
                if !gateway.forgotten {
                    entry.doubt();
                    // Another one keeps it, or nobody: its row may be gone, and then it needs one before its next page.
                    (entry.keeper, entry.is_known) = (Keeper::Nobody, false);
                }
            } else if !gateway.forgotten {
                entry.is_known |= was_alive;
                entry.takes &= !takes;
                // Unless another one has begun meanwhile.
                entry.claims &= !takes || entry.news == News::Now;
                entry.row_keeper = Arc::clone(&me);
            }
        }
        shared.to_see.extend(lost);
        Ok(())
    }

    /// The database has lost what we wrote, or has another history: nothing that gateways acknowledged to us counts until they say
    /// it again, and everybody else is seen anew.
    fn begin_again(&mut self) -> Result<(), Error> {
        let Some(shared) = &mut self.shared else { return Ok(()) };
        let before = std::mem::replace(&mut shared.me, new_id()?);
        shared.instead_of = Some(before);
        shared.beat = 0;
        shared.rests_on.clear();
        self.see_all_anew();
        for gateway in self.by_id.values_mut() {
            gateway.doubt();
            (gateway.is_known, gateway.takes) = (false, true);
            gateway.note(News::Now);
        }
        Ok(())
    }

    /// Forgets what others keep, to see it from the beginning.
    fn see_all_anew(&mut self) {
        let Some(shared) = &mut self.shared else { return };
        shared.seen.clear();
        shared.dead.clear();
        shared.replicas.clear();
        (shared.told, shared.seen_at) = (0, 0);
        self.by_id.retain(|_, gateway| gateway.keeper == Keeper::Us || gateway.held > 0);
    }

    /// What was found in the table: whether that is news. `None` when it has to be looked at from the beginning.
    pub fn saw(&mut self, sight: Sight, now: Instant, time: Timestamp) -> Option<bool> {
        let shared = self.shared.as_mut()?;
        let beat_of =
            |id: &str| sight.replicas.iter().find(|replica| replica.id == id).map(|replica| replica.beat);
        // Also who is not there at all: rows of replicas stay for a while after their end.
        let is_lost = |(id, seen): (&String, &u64)| beat_of(id).is_none_or(|beat| beat < *seen);
        if shared.seen.iter().any(is_lost) {
            self.see_all_anew();
            return None;
        }
        if shared.asked_for_all {
            (shared.all_seen_at, shared.heard_since) = (Some(now), 0);
            if sight.gateways.len() < usize::try_from(MOST_SEEN_AT_ONCE).unwrap_or(usize::MAX) {
                // Whoever has no row any more was pushed out, or forgotten so long ago that none says so.
                let there: HashSet<&str> = sight.gateways.iter().map(|row| row.id.as_str()).collect();
                self.by_id.retain(|id, gateway| {
                    gateway.keeper == Keeper::Us || gateway.held > 0 || there.contains(id.as_str())
                });
            }
        }
        // All that `Shared::behind` goes by: also that we have looked, and who is there no more.
        let is_later = shared.told > shared.seen_at;
        shared.seen_at = shared.told;
        let states = |replicas: &[Replica]| -> Vec<(u64, bool)> {
            replicas.iter().map(|replica| (replica.head, replica.is_alive())).collect()
        };
        let is_news =
            is_later || !sight.gateways.is_empty() || states(&sight.replicas) != states(&shared.replicas);
        let beats = sight.replicas.iter().map(|replica| (replica.id.clone(), replica.beat));
        shared.seen = beats.collect();
        shared.to_see.clear();
        let alive = sight.replicas.iter().filter(|replica| replica.is_alive());
        let alive: HashSet<String> = alive.map(|replica| replica.id.clone()).collect();
        shared.replicas = sight.replicas;
        for row in sight.gateways {
            self.hear(row, now, time);
        }
        self.notice_who_died(&alive, now);
        Some(is_news)
    }

    /// A row that another replica has written.
    fn hear(&mut self, row: SharedGateway, now: Instant, time: Timestamp) {
        let is_taken = |gateway: &Gateway| gateway.keeper == Keeper::Us && (gateway.takes || gateway.claims);
        if self.by_id.get(&row.id).is_some_and(is_taken) {
            return;
        }
        if row.forgotten {
            if let Some(mut gateway) = self.by_id.remove(&row.id) {
                gateway.end_poll();
            }
            return;
        }
        if !self.by_id.contains_key(&row.id) {
            self.make_room(time, now);
            if let Some(shared) = &mut self.shared {
                shared.heard_since += 1;
            }
        }
        let id = row.id.clone();
        let gateway = self.by_id.entry(id).or_insert_with(|| Gateway::heard(&row, now));
        if gateway.keeper == Keeper::Us {
            gateway.end_poll();
        }
        gateway.keeper = Keeper::Other;
        gateway.row_keeper = row.keeper.as_deref().unwrap_or_default().into();
        gateway.hear(row, now, time);
    }

    /// Whoever polled a replica that is gone is expected elsewhere for as long as a live gateway takes to come back.
    fn notice_who_died(&mut self, alive: &HashSet<String>, now: Instant) {
        let Some(shared) = &mut self.shared else { return };
        let mut orphans = HashSet::new();
        for gateway in self.by_id.values_mut() {
            let is_alive = alive.contains(&*gateway.row_keeper);
            match gateway.keeper {
                Keeper::Other if !is_alive => {
                    gateway.keeper = Keeper::Nobody;
                    gateway.expected_until = gateway.expected_until.min(now + RECONNECT);
                    orphans.insert(gateway.row_keeper.to_string());
                }
                // It was frozen, and is back.
                Keeper::Nobody if is_alive => gateway.keeper = Keeper::Other,
                _ => {}
            }
        }
        for keeper in orphans {
            if shared.dead.insert(keeper.clone()) {
                tracing::warn!(replica = keeper, "a replica is gone; its gateways are expected elsewhere");
            }
        }
        shared.dead.retain(|keeper| !alive.contains(keeper));
        let kept: HashSet<&str> = self.by_id.values().map(|gateway| &*gateway.row_keeper).collect();
        shared.dead.retain(|id| kept.contains(id.as_str()));
    }
}
