//! The table that replicas share, in memory (`tests/store/replicas.rs` holds the engines to the same).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::Gateways;
use crate::domain::replicas::{ALIVE, Publication, Published, Replica, SharedGateway, Sight};

/// The table as the store keeps it.
#[derive(Clone, Default)]
pub struct Table {
    /// The tags of all revisions, from the first one.
    pub log: Vec<u32>,
    pub replicas: BTreeMap<String, (Replica, Option<Instant>)>,
    pub gateways: BTreeMap<String, (SharedGateway, Option<Instant>)>,
}

impl Table {
    pub fn head(&self) -> At {
        At { revision: u64::try_from(self.log.len()).unwrap(), tag: *self.log.last().unwrap() }
    }

    pub fn has(&self, at: At) -> bool {
        let place = usize::try_from(at.revision).unwrap() - 1;
        self.log.get(place) == Some(&at.tag)
    }

    pub fn publish(&mut self, said: &Publication, now: Instant) -> Published {
        let is_ours =
            |(revision, tag): &(u64, String)| self.has(At { revision: *revision, tag: tag.parse().unwrap() });
        if !said.rests_on.iter().all(is_ours) {
            return Published::OtherHistory;
        }
        let before = self.replicas.get(&said.replica);
        if before.map_or(0, |(row, _)| row.beat) + 1 != said.beat {
            return Published::Superseded;
        }
        let was_alive = before.is_some_and(|(_, at)| at.is_some_and(|at| now - at <= ALIVE));
        if let Some(gone) = &said.instead_of {
            self.replicas.remove(gone);
        }
        let row = Replica {
            id: said.replica.clone(),
            version: said.version.clone(),
            started_at: said.started_at,
            polls: said.polls,
            head: said.head,
            beat: said.beat,
            age: Duration::ZERO,
        };
        self.replicas.insert(said.replica.clone(), (row, Some(now)));
        let mut lost = Vec::new();
        // Who was forgotten may be back.
        let (taken, kept): (Vec<_>, Vec<_>) = said.gateways.iter().partition(|line| line.takes);
        for line in kept.into_iter().chain(taken) {
            let id = &line.gateway.id;
            let there = self.gateways.get(id).map(|(row, _)| row);
            let is_kept = there.is_some_and(|row| row.keeper == line.gateway.keeper);
            if line.vanishes {
                if is_kept && there.is_some_and(|row| row.has_table <= line.gateway.has_table) {
                    self.gateways.remove(id);
                } else {
                    lost.push(id.clone());
                }
                continue;
            }
            let is_same = there.is_none_or(|row| {
                row.forgotten || row.session.is_none() || row.session == line.gateway.session
            });
            if (line.takes || is_kept) && is_same {
                let row = SharedGateway {
                    keeper: Some(said.replica.clone()),
                    beat: said.beat,
                    ..line.gateway.clone()
                };
                self.gateways.insert(id.clone(), (row, Some(now)));
            } else {
                lost.push(id.clone());
            }
        }
        Published::Done { was_alive, lost }
    }

    pub fn look(&self, gateways: &Gateways, now: Instant) -> Sight {
        let mut entries = gateways.inner.registry.lock();
        let (me, seen, ids) = entries.shared.as_mut().unwrap().question(now);
        let since = |at: &Option<Instant>| now - at.unwrap();
        let replicas = self.replicas.values();
        let rows = self.gateways.values().filter(|(row, _)| {
            let keeper = row.keeper.clone().unwrap_or_default();
            let is_news = if seen.is_empty() {
                !row.forgotten
            } else {
                seen.get(&keeper).is_none_or(|seen| row.beat > *seen)
            };
            keeper != me && (is_news || ids.contains(&row.id))
        });
        Sight {
            at: None,
            replicas: replicas.map(|(row, at)| Replica { age: since(at), ..row.clone() }).collect(),
            gateways: rows
                .map(|(row, at)| SharedGateway {
                    acknowledged_ago: row.acknowledged_ago + since(at),
                    expected_for: row.expected_for.saturating_sub(since(at)),
                    leaving_for: row.leaving_for.saturating_sub(since(at)),
                    ..row.clone()
                })
                .collect(),
        }
    }
}

/// A revision of some history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub revision: u64,
    pub tag: u32,
}
