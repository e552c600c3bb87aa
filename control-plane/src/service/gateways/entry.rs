//! One gateway of the registry.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use crate::contract::Protocol;
use crate::domain::credentials::Credential;
use crate::domain::gateways::GatewayView;
use crate::domain::replicas::SharedGateway;

/// Who keeps what is known of a gateway: the replica that it polled last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// This one.
    Us,
    /// Another one.
    Other,
    /// One that is not there any more.
    Nobody,
}

/// What others have to hear of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    /// Nothing.
    None,
    /// Something that waits for the next heartbeat.
    Later,
    /// Something that receipts wait for.
    Now,
}

/// What is known of a gateway.
pub(super) struct Gateway {
    pub credential: Credential,
    /// SHA-256 of the session that the id is tied to.
    pub session: Option<[u8; 32]>,
    pub version: Option<String>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// What its last poll said.
    pub stale: bool,
    /// What its last poll said, if it did: how many workers have the table.
    pub workers: Option<u32>,
    /// What its last poll said: the protocol that every worker understands.
    pub accepts: Protocol,
    /// What its last poll said, if it did: whether a filter of it is in shadow.
    pub shadow: Option<bool>,
    /// Polls in progress.
    pub held: u32,
    /// Ends the newest of them.
    pub newest: Option<Arc<Notify>>,
    /// Until when it counts as connected without a poll in progress.
    pub expected_until: Instant,
    /// True once it has said that it has a table of our history, whether that counts or not.
    pub has_table: bool,
    /// True while its last poll but a reset's named the epoch of another database: it has that one's table.
    pub other_database: bool,
    /// Since when it is to be forgotten once it is not connected.
    pub leaving: Option<Instant>,
    /// True when there is a row of it.
    pub stored: bool,
    /// What the row says, when that is still so: connected, and when last seen.
    pub saved: Option<(bool, Timestamp)>,
    /// With several replicas: who keeps its row.
    pub keeper: Keeper,
    /// With several replicas: who keeps it, by its row; nobody's name where there is none.
    pub row_keeper: Arc<str>,
    /// With several replicas: true when it has a row, so that the receipts of all know of it.
    pub is_known: bool,
    /// With several replicas: it has come to us, and its row is still another's.
    pub takes: bool,
    /// With several replicas: a poll of it began here that the others have not heard of. It may have been elsewhere in between.
    pub claims: bool,
    /// With several replicas: what its row does not say yet.
    pub news: News,
    /// The newest acknowledgements, oldest first; empty while it has no table.
    acks: VecDeque<Ack>,
}

/// An acknowledgement.
#[derive(Clone, Copy)]
pub(super) struct Ack {
    pub revision: u64,
    pub at: Instant,
    time: Timestamp,
}

/// How long a gateway may take to be gone after it was said to leave: as long as an Envoy drains, by default.
const TIME_TO_LEAVE: Duration = Duration::from_secs(600);
/// Acknowledgements remembered per gateway, so that a receipt finds the first one that covers its revision.
const ACKS_KEPT: usize = 64;

impl Gateway {
    pub fn seen(
        credential: Credential,
        session: Option<[u8; 32]>,
        (first_seen, last_seen): (Timestamp, Timestamp),
        expected_until: Instant,
    ) -> Self {
        Self {
            credential,
            session,
            version: None,
            first_seen,
            last_seen,
            stale: false,
            workers: None,
            accepts: Protocol::One,
            shadow: None,
            held: 0,
            newest: None,
            expected_until,
            has_table: false,
            other_database: false,
            leaving: None,
            stored: false,
            saved: None,
            keeper: Keeper::Us,
            row_keeper: Arc::from(""),
            is_known: false,
            takes: true,
            claims: false,
            news: News::None,
            acks: VecDeque::new(),
        }
    }

    /// One that another replica keeps.
    pub fn heard(row: &SharedGateway, now: Instant) -> Self {
        let credential = row.id.split_once('/').map_or(row.id.as_str(), |(credential, _)| credential);
        let seen = (row.first_seen, row.last_seen);
        let mut gateway = Self::seen(Credential::named(credential), row.session, seen, now);
        (gateway.is_known, gateway.takes, gateway.keeper) = (true, false, Keeper::Nobody);
        gateway
    }

    /// What another replica says of it. Times are those of the database, which counts from `now` back and forth.
    pub fn hear(&mut self, row: SharedGateway, now: Instant, time: Timestamp) {
        self.session = row.session;
        self.version = row.version;
        self.first_seen = row.first_seen;
        self.last_seen = row.last_seen;
        self.stale = row.stale;
        self.workers = row.workers;
        self.accepts = row.accepts;
        self.shadow = row.shadow;
        self.has_table = row.has_table;
        self.other_database = row.other_database;
        self.expected_until = now + row.expected_for;
        self.leaving = (!row.leaving_for.is_zero())
            .then(|| now.checked_sub(TIME_TO_LEAVE.saturating_sub(row.leaving_for)).unwrap_or(now));
        let at = now.checked_sub(row.acknowledged_ago).unwrap_or(now);
        let ago = SignedDuration::try_from(row.acknowledged_ago).unwrap_or_default();
        self.acknowledge(row.acknowledged, at, time.checked_sub(ago).unwrap_or(time));
        (self.is_known, self.takes, self.claims, self.news) = (true, false, false, News::None);
    }

    /// What the others have to know of it.
    pub fn say(&self, id: &str, now: Instant) -> SharedGateway {
        let last = self.acks.back();
        let left = |since| TIME_TO_LEAVE.saturating_sub(now.saturating_duration_since(since));
        SharedGateway {
            id: id.to_owned(),
            session: self.session,
            version: self.version.clone(),
            keeper: Some(self.row_keeper.to_string()),
            beat: 0,
            has_table: self.has_table,
            acknowledged: last.map(|ack| ack.revision),
            acknowledged_ago: last.map_or(Duration::ZERO, |ack| now.saturating_duration_since(ack.at)),
            expected_for: self.expected_until.saturating_duration_since(now),
            stale: self.stale,
            workers: self.workers,
            accepts: self.accepts,
            shadow: self.shadow,
            other_database: self.other_database,
            leaving_for: self.leaving.map_or(Duration::ZERO, left),
            forgotten: false,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
        }
    }

    /// It is ours from now on. What it has acknowledged elsewhere was of the history that was there then: it says it again.
    pub fn take(&mut self, news: News) {
        if self.keeper != Keeper::Us {
            self.acks.clear();
            (self.keeper, self.takes) = (Keeper::Us, true);
        }
        self.note(news);
    }

    /// There is something to tell the others.
    pub fn note(&mut self, news: News) {
        self.news = self.news.max(news);
    }

    /// What it has acknowledged does not count any more, until it says it again.
    pub fn doubt(&mut self) {
        self.acks.clear();
        self.end_poll();
    }

    /// True when that is news.
    pub fn acknowledge(&mut self, revision: Option<u64>, at: Instant, time: Timestamp) -> bool {
        let last = self.acks.back().map(|ack| ack.revision);
        if revision == last {
            return false;
        }
        // Without a table, or back at an older one: what was enforced before is not any more.
        if revision < last {
            self.acks.clear();
        }
        if let Some(revision) = revision {
            if self.acks.len() == ACKS_KEPT {
                self.acks.pop_front();
            }
            self.acks.push_back(Ack { revision, at, time });
        }
        true
    }

    /// The first acknowledgement that covers `revision`.
    pub fn covering(&self, revision: u64) -> Option<Ack> {
        self.acks.iter().find(|ack| ack.revision >= revision).copied()
    }

    /// True while it enforces a revision, as far as it has said and that counts.
    pub fn has_acknowledged(&self) -> bool {
        !self.acks.is_empty()
    }

    pub fn is_connected(&self, now: Instant) -> bool {
        self.held > 0 || now < self.expected_until
    }

    /// It has the keys, and no worker of it has.
    pub fn serves_nobody(&self) -> bool {
        self.has_table && self.workers == Some(0)
    }

    /// Whoever is still there after a while did not leave, or is a new process under the old name.
    pub fn is_leaving(&self, now: Instant) -> bool {
        self.leaving.is_some_and(|since| now.saturating_duration_since(since) < TIME_TO_LEAVE)
    }

    /// Ties the id to a session, if it is not tied yet.
    pub fn tie(&mut self, session: Option<[u8; 32]>) {
        if self.session.is_none() && session.is_some() {
            self.session = session;
            self.saved = None;
        }
    }

    /// The poll that is held is answered now.
    pub fn end_poll(&mut self) {
        if let Some(poll) = self.newest.take() {
            poll.notify_one();
        }
    }

    pub fn view(&self, id: &str, now: Instant) -> GatewayView {
        let last = self.acks.back();
        GatewayView {
            id: id.to_owned(),
            credential: self.credential.name().to_owned(),
            has_session: self.session.is_some(),
            version: self.version.clone(),
            connected: self.is_connected(now),
            stale: self.stale,
            workers: self.workers,
            accepts: self.accepts,
            shadow: self.shadow,
            other_database: self.other_database,
            leaving: self.is_leaving(now),
            acknowledged: last.map(|ack| ack.revision),
            acknowledged_at: last.map(|ack| ack.time),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
        }
    }
}
