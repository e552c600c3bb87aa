//! A control plane of the model: what it says, writes and hears, each at a moment of its own.

use std::time::{Duration, Instant};

use super::super::shared::Shared;
use super::super::{Gateways, Hello, Poll};
use super::table::{At, Table};
use crate::domain::credentials::Credential;
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

/// A poll of the gateway `g` at this replica.
pub(super) fn poll(plane: &Plane) -> Poll {
    poll_of(plane, 7)
}

/// The same, of this process.
pub(super) fn poll_of(plane: &Plane, session: u8) -> Poll {
    poll_under(plane, Credential::shared(), "g", session)
}

/// The same, under this credential and name.
pub(super) fn poll_under(plane: &Plane, credential: Credential, name: &str, session: u8) -> Poll {
    plane.gateways.begin(Hello {
        accepts: crate::contract::Protocol::Two,
        shadow: Some(false),
        credential,
        name: name.to_owned(),
        session: Some([session; 32]),
        version: None,
        wait: Duration::from_secs(25),
        stale: false,
        workers: None,
    })
}

/// A table and replicas that know each other.
pub(super) fn planes(clock: &Clock, count: usize) -> (Table, Vec<Plane>) {
    clock.stop();
    let mut table = Table { log: vec![1], ..Table::default() };
    let mut planes: Vec<_> = (0..count).map(|_| Plane::new(clock, table.head())).collect();
    for _ in 0..3 {
        for plane in &mut planes {
            plane.tells(&mut table, clock.instant());
            plane.hears(&table, clock);
        }
    }
    (table, planes)
}
