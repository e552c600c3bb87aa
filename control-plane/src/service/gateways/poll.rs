//! A poll in progress: what the gateway says with it, and whether everybody can know of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::entry::{Gateway, Keeper, News};
use super::hello::RECONNECT;
use super::inner::Inner;
use super::registry::Entries;
use crate::domain::error::Error;
use crate::domain::log::Head;

/// A poll in progress. Dropping it unfinished means that the gateway's connection broke.
pub struct Poll {
    pub(super) inner: Arc<Inner>,
    pub(super) id: String,
    /// Of the process that polls: by the time something is known of the id, it may be another one's.
    pub(super) session: Option<[u8; 32]>,
    pub(super) over: Arc<Notify>,
    pub(super) finished: bool,
}

/// How long a new gateway waits until the others know of it.
const PATIENCE: Duration = Duration::from_secs(5);

impl Poll {
    /// Notes the revision that the gateway enforces, of the history of this head; `None` while it has no table of ours. It counts when
    /// nobody else can have said it: under a session, or under the shared token, as ever, for a filter that has none.
    pub fn acknowledges(&self, revision: Option<u64>, under: &Head) {
        let (now, time) = (self.inner.clock.instant(), self.inner.clock.now());
        let mut gateways = self.inner.registry.lock();
        // It may have come to another replica since, which has the say.
        let Some(gateway) = self.of(&mut gateways) else { return };
        let before = (gateway.has_table, gateway.other_database);
        gateway.has_table |= revision.is_some();
        gateway.other_database &= revision.is_none();
        // It has the table and answers 503: nobody is up to date by that.
        let revision = revision.filter(|_| !gateway.stale);
        let counts = gateway.session.is_some() || gateway.credential.is_shared();
        let news = counts && gateway.acknowledge(revision, now, time);
        let is_unsaved = gateway.has_table && gateway.saved.is_none();
        let is_news = news || before != (gateway.has_table, gateway.other_database);
        if is_news {
            gateway.note(News::Now);
        }
        if is_news && revision.is_some() {
            gateways.rest_on(under);
        }
        let is_unsaved = is_unsaved && gateways.shared.is_none();
        self.inner.tell(gateways, is_news);
        if is_unsaved {
            self.inner.unsaved.notify_one();
        }
        if news {
            self.inner.news.send_modify(|count| *count += 1);
        }
    }

    /// Notes whether the gateway comes with the table of another database. It decides by that until it acknowledges one of ours.
    pub fn has_other_database(&self, has_it: bool) {
        let mut gateways = self.inner.registry.lock();
        let Some(gateway) = self.of(&mut gateways) else { return };
        let is_news = gateway.other_database != has_it;
        gateway.other_database = has_it;
        if is_news {
            gateway.note(News::Now);
        }
        self.inner.tell(gateways, is_news);
    }

    /// Whether everybody can know of this gateway; `None` as long as that is not said.
    pub(super) fn is_known_now(&self) -> Option<bool> {
        let mut gateways = self.inner.registry.lock();
        if gateways.shared.is_none() {
            return Some(true);
        }
        match self.of(&mut gateways) {
            Some(gateway) => gateway.is_known.then_some(true),
            None => Some(false),
        }
    }

    /// The gateway that polls, while it is ours. Another process can have its id by now: one that came to another replica first.
    fn of<'a>(&self, gateways: &'a mut Entries) -> Option<&'a mut Gateway> {
        let is_its_own =
            |gateway: &&mut Gateway| gateway.keeper == Keeper::Us && gateway.session == self.session;
        gateways.get_mut(&self.id).filter(is_its_own)
    }

    /// Waits until everybody can know of this gateway; false when another one has its id by now.
    pub(super) async fn is_known(&self) -> Result<bool, Error> {
        let mut exchanged = self.inner.exchanged.subscribe();
        let known = async {
            loop {
                if let Some(known) = self.is_known_now() {
                    return Ok(known);
                }
                exchanged.changed().await.map_err(Error::internal)?;
            }
        };
        let late = Error::Unavailable("the database does not answer");
        tokio::time::timeout(PATIENCE, known).await.unwrap_or(Err(late))
    }

    /// Until a newer poll of the same gateway has come, or its credential was revoked.
    pub async fn is_over(&self) {
        self.over.notified().await;
    }

    /// The answer is on its way: the gateway goes on living without a poll for a while.
    pub fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        let (now, time) = (self.inner.clock.instant(), self.inner.clock.now());
        let mut gateways = self.inner.registry.lock();
        if let Some(gateway) = gateways.get_mut(&self.id) {
            gateway.held = gateway.held.saturating_sub(1);
        }
        // It may have come to another replica since, which knows better.
        if let Some(gateway) = self.of(&mut gateways) {
            gateway.last_seen = time;
            // A newer poll of it goes on: only the last one tells that the connection broke.
            if !self.finished && gateway.held == 0 {
                gateway.expected_until = gateway.expected_until.min(now + RECONNECT);
            }
            gateway.note(News::Later);
        }
    }
}
