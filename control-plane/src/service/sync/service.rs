//! Pages for gateways (sync protocol 1 and 2): answers at once when there is something new, otherwise holds the poll.
//!
//! No state per gateway is needed to answer: a difference follows from the gateway's revision and its tag, a part of a reset
//! from its cursor. A gateway whose revision is not of our history (it is ahead of us, or its tag is another) gets a reset of
//! its own; nothing that a gateway says begins an epoch. What a poll acknowledges goes to [`crate::service::gateways`].
//!
//! Who is up to date, or nearly, is answered from what all ask for together (`recent`). Everything else is read in the lane
//! of the credential (`lanes`), so that whoever asks for much holds up nobody but those who share its credential.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time;

use super::lanes::Lanes;
use super::notices::{Kind, Notices};
use super::page::{ChangesRequest, Difference, empty_page};
use super::recent::Recent;
use super::touch;
use crate::contract::is_name;
use crate::domain::error::Error;
use crate::domain::log::Head;
use crate::service::clock::Clock;
use crate::service::credentials::Credentials;
use crate::service::gateways::{Gateways, Hello, Poll};
use crate::service::metrics::Metrics;
use crate::store::Store;

/// The service. Clones share it.
#[derive(Clone)]
pub struct Sync {
    pub(super) store: Store,
    pub(super) gateways: Gateways,
    pub(super) credentials: Credentials,
    pub(super) shutdown: watch::Receiver<bool>,
    pub(super) recent: Arc<Recent>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) notices: Arc<Notices>,
    pub(super) metrics: Metrics,
    /// Whether gateways with the table of another database get ours, even where nobody has restored this one.
    pub(super) replaces_tables: bool,
}

/// What a gateway is told that comes with the table of another database. It goes on with that.
const KEEPS_ITS_TABLE: &str = "the gateway has the table of another database, and this one was neither restored nor started with --init";

impl Sync {
    /// The service; once `shutdown` turns true, held polls are answered with an empty page.
    pub fn new(
        store: Store,
        (gateways, credentials): (Gateways, Credentials),
        metrics: Metrics,
        clock: Clock,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        let recent = Arc::new(Recent::new(store.clone(), metrics.clone()));
        let lanes = Arc::new(Lanes::new(store.clone(), credentials.clone(), metrics.clone()));
        let notices = Arc::new(Notices::new(clock));
        Self {
            store,
            gateways,
            credentials,
            shutdown,
            recent,
            lanes,
            notices,
            metrics,
            replaces_tables: false,
        }
    }

    /// The same; when told so, whoever comes with the table of another database gets this one's in its place.
    #[must_use]
    pub fn replacing_tables(self, replaces_tables: bool) -> Self {
        Self { replaces_tables, ..self }
    }

    /// The answer to a poll: a page as JSON.
    pub async fn changes(&self, request: ChangesRequest) -> Result<Bytes, Error> {
        // Held ones are let go; one that comes then would be let go at once, and come again at once. This makes it pause.
        if *self.shutdown.borrow() {
            return Err(Error::Unavailable("going down"));
        }
        let hello = Hello {
            credential: request.credential.clone(),
            name: request.gateway.clone(),
            session: request.session,
            version: request.version.clone(),
            wait: request.wait,
            stale: request.stale,
            workers: request.workers,
            accepts: request.accepts,
            shadow: request.shadow,
        };
        let poll = self.gateways.admit(hello).await?;
        let body = self.answer(&request, &poll).await?;
        // The last moment at which a revocation can keep it back.
        self.credentials.check(&request.credential)?;
        poll.finish();
        Ok(body)
    }

    async fn answer(&self, request: &ChangesRequest, poll: &Poll) -> Result<Bytes, Error> {
        // Once more, now that a revocation finds the poll: in between it would have been overlooked.
        self.credentials.check(&request.credential)?;
        let head = self.store.head();
        // During a reset the gateway repeats the revision that it had before, which is no news.
        if request.epoch.as_deref() != Some(head.epoch.as_str()) || request.cursor.is_some() {
            self.notice_foreign_epoch(request, &head);
            poll.acknowledges(None, &head);
            if request.cursor.is_none() {
                poll.has_other_database(request.epoch.is_some());
            }
            // Half a reset is not stopped: it was begun when this was allowed.
            let begins = request.epoch.is_some() && request.cursor.is_none();
            if begins && !self.replaces_tables && !head.is_restored() {
                return Err(Error::Unavailable(KEEPS_ITS_TABLE));
            }
            return self.lanes.part_of_reset(request).await;
        }
        // Its table was made for a filter of another version: one that misread it would let pass what it ought to refuse.
        if request.shown != request.accepts {
            poll.acknowledges(None, &head);
            return self.lanes.part_of_reset(request).await;
        }
        if request.is_at(&head) {
            poll.acknowledges(Some(request.after), &head);
            // Who refuses requests until an answer arrives gets one at once; it paces answers that were not held.
            if !request.stale && !touch::is_lost(&self.store) {
                self.wait_for_news(request, poll).await;
                self.credentials.check(&request.credential)?;
                // Of another database since: that has its own rules.
                if self.store.head().epoch != head.epoch {
                    return Box::pin(self.answer(request, poll)).await;
                }
            }
        }
        if touch::is_lost(&self.store) {
            return Err(Error::Unavailable(touch::LOST));
        }
        match self.difference(request).await? {
            Difference::Page(body) => {
                poll.acknowledges(Some(request.after), &head);
                return Ok(body);
            }
            // Its tag is forgotten, so whether that was our history is not known.
            Difference::TooOld => {
                poll.acknowledges(Some(request.after).filter(|_| request.tag.is_none()), &head);
            }
            Difference::Unknown => {
                poll.acknowledges(None, &head);
                self.notice_other_history(request, &head);
            }
        }
        self.lanes.part_of_reset(request).await
    }

    /// Until something changes, or there is no use in waiting any more.
    async fn wait_for_news(&self, request: &ChangesRequest, poll: &Poll) {
        let deadline = Instant::now() + request.wait;
        let mut log = self.store.watch();
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            _ = log.wait_for(|head| request.is_outdated(head)) => {}
            () = time::sleep_until(deadline.into()) => {}
            () = poll.is_over() => {}
            () = touch::lost(&self.store) => {}
            _ = shutdown.wait_for(|down| *down) => {}
        }
    }

    async fn difference(&self, request: &ChangesRequest) -> Result<Difference, Error> {
        let head = self.store.head();
        if request.is_at(&head) {
            return empty_page(head, request.accepts).map(Difference::Page);
        }
        match self.recent.difference(request, &head).await? {
            Some(found) => Ok(found),
            None => self.lanes.difference(request).await,
        }
    }

    /// A gateway with a table of another epoch: once after a restored or replaced database. When it goes on, two control
    /// planes with different databases stand behind one name, and gateways take the table of one after the other; or this is
    /// not the database that it should be, and gateways keep the table that they have.
    fn notice_foreign_epoch(&self, request: &ChangesRequest, head: &Head) {
        let begins = request.cursor.is_none();
        let Some(theirs) = request.epoch.as_deref().filter(|_| begins) else { return };
        self.metrics.foreign_epoch();
        let Some(count) = self.notices.admit(&request.credential, Kind::ForeignEpoch) else { return };
        let theirs = if is_name(theirs) { theirs } else { "not a name" };
        let (credential, gateway, ours) = (request.credential.name(), &request.gateway, &head.epoch);
        if !self.replaces_tables && !head.is_restored() {
            tracing::error!(credential, %gateway, theirs, ours, count, "a gateway has the table of another database and keeps it: is \
                this the right database? Restore a backup of the right one, or start once with --init to replace all tables with this one's");
            return;
        }
        tracing::warn!(credential, %gateway, theirs, ours, count, "a gateway has the table of another epoch and fetches ours; if \
            this goes on, a second control plane with another database is reached by the same name");
    }

    /// A gateway that has seen what our database has not: an older copy was put in its place, or somebody makes it up. It
    /// starts over, and nobody else.
    fn notice_other_history(&self, request: &ChangesRequest, head: &Head) {
        self.metrics.other_history();
        let Some(count) = self.notices.admit(&request.credential, Kind::OtherHistory) else { return };
        let (credential, gateway, ours) = (request.credential.name(), &request.gateway, head.revision);
        tracing::error!(credential, %gateway, theirs = request.after, ours, count, "a gateway has seen a revision that the \
            database has not, and fetches the whole table: was a backup restored?");
    }
}
