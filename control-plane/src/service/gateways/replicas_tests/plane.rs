//! A control plane of the model: what it says, writes and hears, each at a moment of its own.

use std::time::Instant;

use super::super::Gateways;
use super::super::shared::Shared;
use super::table::{At, Table};
use crate::domain::log::Head;
use crate::domain::replicas::{Publication, Published};
use crate::service::clock::Clock;

/// A control plane, as far as this goes.
pub struct Plane {
    pub gateways: Gateways,
    /// Where the log stands, as far as it knows.
    pub head: At,
    /// What it has committed last, and its turn then.
    pub committed: Option<(At, u64)>,
    /// What it has put together and not written yet.
    pub said: Option<Publication>,
    /// What became of what it has written last, and has not heard yet.
    pub answer: Option<(Publication, Published)>,
    pub frozen: bool,
    /// Its last write found that others may have taken it for dead.
    revived: bool,
}

pub fn head(at: At) -> Head {
    Head { epoch: "e".to_owned(), revision: at.revision, tag: at.tag.to_string() }
}

impl Plane {
    pub fn new(clock: &Clock, head: At) -> Self {
        let gateways = Gateways::new(clock.clone());
        gateways.inner.registry.lock().shared = Some(Shared::new(clock.now()).unwrap());
        Self { gateways, head, committed: None, said: None, answer: None, frozen: false, revived: false }
    }

    pub fn says(&mut self, now: Instant) {
        if self.said.is_none() && self.answer.is_none() {
            self.said = self.gateways.inner.registry.lock().publication(&head(self.head), now);
        }
    }

    pub fn writes(&mut self, table: &mut Table, now: Instant) {
        let Some(said) = self.said.take() else { return };
        let what = table.publish(&said, now);
        // The commit behind one that made it alive again tells where the log stands.
        if self.revived && table.head().revision > self.head.revision {
            self.head = table.head();
        }
        self.revived = matches!(what, Published::Done { was_alive: false, .. });
        self.answer = Some((said, what));
    }

    pub fn is_told(&mut self) {
        let Some((said, what)) = self.answer.take() else { return };
        self.gateways.inner.registry.lock().published(&said, what).unwrap();
    }

    pub fn tells(&mut self, table: &mut Table, now: Instant) {
        self.says(now);
        self.writes(table, now);
        self.is_told();
    }

    pub fn hears(&self, table: &Table, clock: &Clock) {
        let now = clock.instant();
        let sight = table.look(&self.gateways, now);
        let seen = self.gateways.inner.registry.lock().saw(sight, now, clock.now());
        if seen.is_none() {
            let sight = table.look(&self.gateways, now);
            self.gateways.inner.registry.lock().saw(sight, now, clock.now()).unwrap();
        }
    }
}
