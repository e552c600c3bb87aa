//! Who enforces what: the gateways that poll, the revision that each has acknowledged, and the receipts made of that.
//!
//! The registry lives in memory, because acknowledgements are news that the next poll repeats anyway. Who was there is also
//! stored, so that after a restart of the control plane a receipt does not say "all 0 gateways".
//!
//! A gateway is connected while it holds a poll, between two polls for as long as a live gateway may take, and, after
//! its connection broke, for as long as a live gateway may take to come back.
//!
//! An id is tied to the first session that is seen under it, for as long as it is remembered: whoever comes under the same
//! name with another session is another gateway, with an id of its own. A filter of before sessions has none; it counts
//! under the shared token, and until a session comes.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, watch};

use super::entry::{Gateway, News};
use super::hello::Hello;
use super::inner::Inner;
use super::poll::Poll;
use super::registry::Registry;
use crate::contract::Protocol;
use crate::domain::audit::{Action, Actor, Target};
use crate::domain::credentials::Credential;
use crate::domain::error::Error;
use crate::domain::gateways::{GatewayCounts, GatewayView};
use crate::service::clock::Clock;
use crate::store::Store;

/// The registry. Clones share it.
#[derive(Clone)]
pub struct Gateways {
    pub(super) inner: Arc<Inner>,
}

/// How often a gateway is given an id before it is told to come again: each time somebody else has taken the last one.
const TRIES: u32 = 3;

impl Gateways {
    /// An empty registry.
    pub fn new(clock: Clock) -> Self {
        let ((news, _), (exchanged, _)) = (watch::channel(0), watch::channel(0));
        Self {
            inner: Arc::new(Inner {
                clock,
                registry: Registry::default(),
                news,
                unsaved: Notify::new(),
                to_exchange: Notify::new(),
                exchanged,
                waiting: AtomicUsize::new(0),
            }),
        }
    }

    /// Notes that a poll began. An older one of the same gateway is over.
    pub fn begin(&self, hello: Hello) -> Poll {
        let inner = &self.inner;
        let (now, time) = (inner.clock.instant(), inner.clock.now());
        let (over, session) = (Arc::new(Notify::new()), hello.session);
        let mut gateways = inner.registry.lock();
        let id = gateways.begin(hello, Arc::clone(&over), now, time);
        let is_news = gateways.by_id.get(&id).is_some_and(|gateway| gateway.news == News::Now);
        inner.tell(gateways, is_news);
        Poll { inner: Arc::clone(inner), id, session, over, finished: false }
    }

    /// The same, of a gateway that the receipts of all replicas know of: before that it gets no page. An error when the others cannot
    /// be told.
    pub async fn admit(&self, hello: Hello) -> Result<Poll, Error> {
        for _ in 0..TRIES {
            let poll = self.begin(hello.clone());
            if poll.is_known().await? {
                return Ok(poll);
            }
            // Another process came to another replica under this name, at the same moment. Not this one's connection broke.
            poll.finish();
        }
        Err(Error::Unavailable("another gateway has this name"))
    }

    /// All gateways in order of their ids.
    pub fn list(&self) -> Vec<GatewayView> {
        let now = self.inner.clock.instant();
        let mut views: Vec<_> =
            self.inner.registry.lock().iter().map(|(id, gateway)| gateway.view(id, now)).collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    /// How many gateways are connected, and how many polls are held.
    pub fn counts(&self) -> (usize, u32) {
        let (states, held) = self.states();
        (states.connected(), held)
    }

    /// How many gateways do what, and how many polls are held.
    pub fn states(&self) -> (GatewayCounts, u32) {
        let now = self.inner.clock.instant();
        let gateways = self.inner.registry.lock();
        let mut counts = GatewayCounts::default();
        for (_, gateway) in gateways.iter() {
            match (gateway.is_connected(now), gateway.stale, gateway.has_acknowledged()) {
                (true, true, _) => counts.stale += 1,
                (true, false, true) => counts.enforcing += 1,
                (true, false, false) => counts.no_table += 1,
                (false, ..) if gateway.has_table && !gateway.is_leaving(now) => counts.cut_off += 1,
                (false, ..) => {}
            }
        }
        (counts, gateways.iter().map(|(_, gateway)| gateway.held).sum())
    }

    /// How many connected gateways have the keys while none of their workers has.
    pub fn serving_nobody(&self) -> usize {
        self.connected(Gateway::serves_nobody)
    }

    /// Connected gateways of before restrictions, plans and shadow: a key that has any of them is gone there, and gets 401.
    pub fn of_before(&self) -> usize {
        self.connected(|gateway| gateway.accepts == Protocol::One)
    }

    /// Connected gateways that have said that a filter of theirs is in shadow.
    pub fn in_shadow(&self) -> usize {
        self.connected(|gateway| gateway.shadow == Some(true))
    }

    fn connected(&self, are: impl Fn(&Gateway) -> bool) -> usize {
        let now = self.inner.clock.instant();
        let gateways = self.inner.registry.lock();
        gateways.iter().filter(|(_, gateway)| gateway.is_connected(now) && are(gateway)).count()
    }

    /// The last poll under a credential, of a gateway that is remembered.
    pub fn last_seen(&self, credential: &str) -> Option<Timestamp> {
        let gateways = self.inner.registry.lock();
        let theirs = gateways.iter().filter(|(_, gateway)| gateway.credential.name() == credential);
        theirs.map(|(_, gateway)| gateway.last_seen).max()
    }

    /// Ends the polls that are held under a credential. Its gateways are cut off from now on.
    pub fn end(&self, credential: &Credential) {
        let now = self.inner.clock.instant();
        for (_, gateway) in self.inner.registry.lock().iter_mut() {
            if gateway.credential == *credential {
                gateway.end_poll();
                gateway.expected_until = now;
                gateway.note(News::Now);
            }
        }
        self.inner.to_exchange.notify_one();
    }

    /// Forgets a gateway for good; one that is connected stays until it is not any more, and for
    /// good when it is still there after ten minutes. The view that it had.
    pub async fn forget(&self, id: &str, store: &Store, by: Actor) -> Result<GatewayView, Error> {
        let (now, time) = (self.inner.clock.instant(), self.inner.clock.now());
        let view = self.inner.registry.lock().forget(id, now).ok_or(Error::NotFound("gateway"))?;
        let (ids, is_shared) = ([view.id.clone()], store.is_shared());
        let details = json!({ "connected": view.connected, "acknowledged_revision": view.acknowledged,
            "last_seen": view.last_seen.to_string() });
        let write = store.write(move |tx| {
            Box::pin(async move {
                // The others hear of it, and so does the row.
                if !is_shared {
                    tx.forget_gateways(&ids).await?;
                }
                let [id] = &ids;
                let on = Target { workspace_seq: None, id: None, name: id };
                by.did(tx, time, Action::GatewayForgotten, on, details).await
            })
        });
        write.await?;
        // Receipts that wait for it need not.
        self.inner.news.send_modify(|count| *count += 1);
        self.inner.to_exchange.notify_one();
        Ok(view)
    }
}
