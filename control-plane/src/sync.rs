//! Pages for gateways (sync protocol v1): answers at once when there is something new, otherwise holds the poll.
//!
//! No state per gateway is needed to answer: a difference follows from the gateway's revision, a part of a reset from
//! its cursor. What a poll acknowledges goes to [`crate::gateways`] before anything else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flamegate::api_key::KeyHash;
use flamegate::sync::wire::{self, MAX_PAGE_RECORDS, Upsert, WireHash};
use tokio::sync::{Mutex, watch};
use tokio::time;

use crate::error::Error;
use crate::gateways::{Gateways, Hello};
use crate::metrics::Metrics;
use crate::store::{Head, Page, Store, sqlite};

/// A checked poll.
#[derive(Clone, Debug)]
pub struct ChangesRequest {
    /// Who asks.
    pub gateway: String,
    /// Its program's version.
    pub version: Option<String>,
    /// The epoch of its table; `None` while it has none.
    pub epoch: Option<String>,
    /// The revision that it enforces.
    pub after: u64,
    /// Most records in the answer.
    pub limit: u32,
    /// How long it is ready to wait.
    pub wait: Duration,
    /// During a reset: everything up to here has arrived.
    pub cursor: Option<KeyHash>,
}

/// The service. Clones share it.
#[derive(Clone)]
pub struct Sync {
    store: Store,
    gateways: Gateways,
    metrics: Metrics,
    shutdown: watch::Receiver<bool>,
    latest: Arc<Mutex<Option<Latest>>>,
}

/// The difference that was asked for last, ready to be sent. When a change wakes a thousand polls, they all ask for the
/// same one: it is read and written out once.
struct Latest {
    head: Head,
    after: u64,
    limit: u32,
    body: Bytes,
}

/// Records in an answer when the gateway does not say.
pub const DEFAULT_LIMIT: u32 = 500;
/// Longest hold of a poll.
pub const MAX_WAIT: Duration = Duration::from_secs(60);

impl Sync {
    /// The service; once `shutdown` turns true, held polls are answered with an empty page.
    pub fn new(store: Store, gateways: Gateways, metrics: Metrics, shutdown: watch::Receiver<bool>) -> Self {
        Self { store, gateways, metrics, shutdown, latest: Arc::default() }
    }

    /// The answer to a poll: a page as JSON.
    pub async fn changes(&self, request: ChangesRequest) -> Result<Bytes, Error> {
        self.notice_restored_backup(&request).await?;
        let head = self.store.head();
        let in_epoch = request.epoch.as_deref() == Some(head.epoch.as_str());
        self.notice_foreign_epoch(&request, &head);
        // During a reset the gateway repeats the revision that it had before, which is no news.
        let acknowledges = (in_epoch && request.cursor.is_none()).then_some(request.after);
        let poll = self.gateways.begin(Hello {
            gateway: request.gateway.clone(),
            version: request.version.clone(),
            wait: request.wait,
            acknowledges,
        })?;
        let body = if acknowledges.is_some() { self.difference(&request).await? } else { None };
        let body = match body {
            Some(body) => body,
            None => self.part_of_reset(&request).await?,
        };
        poll.finish();
        Ok(body)
    }

    /// A gateway that is ahead of us within our own epoch proves that the database went back in time: an older copy was
    /// put in its place. Other gateways may have seen changes that are lost now, so all of them must start over, which
    /// another epoch makes them do.
    async fn notice_restored_backup(&self, request: &ChangesRequest) -> Result<(), Error> {
        let head = self.store.head();
        if request.epoch.as_deref() != Some(head.epoch.as_str()) || request.after <= head.revision {
            return Ok(());
        }
        let (epoch, after) = (head.epoch, request.after);
        let written = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let now = sqlite::changes::head(tx).await?;
                    let behind = now.epoch == epoch && now.revision < after;
                    if behind {
                        sqlite::changes::new_epoch(tx).await?;
                    }
                    Ok(behind)
                })
            })
            .await?;
        if written.value {
            self.gateways.forget_acknowledgements();
            let (gateway, ours) = (&request.gateway, written.head.revision);
            tracing::error!(%gateway, theirs = after, ours, "a gateway is ahead of the database: was a backup restored? \
                A new epoch was begun and every gateway fetches the whole table");
        }
        Ok(())
    }

    /// A gateway with a table of another epoch: once after a restored or replaced database. When it goes on, two control
    /// planes with different databases stand behind one name, and gateways take the table of one after the other.
    fn notice_foreign_epoch(&self, request: &ChangesRequest, head: &Head) {
        let begins = request.cursor.is_none();
        if let Some(theirs) = request.epoch.as_deref().filter(|theirs| begins && *theirs != head.epoch) {
            self.metrics.foreign_epoch();
            let (gateway, ours) = (&request.gateway, &head.epoch);
            tracing::warn!(%gateway, theirs, ours, "a gateway has the table of another epoch and fetches ours; if this goes on, \
                a second control plane with another database is reached by the same name");
        }
    }

    /// What changed after the gateway's revision, waiting for something to change. `None` when the log does not reach
    /// back that far.
    async fn difference(&self, request: &ChangesRequest) -> Result<Option<Bytes>, Error> {
        let deadline = Instant::now() + request.wait;
        let mut log = self.store.watch();
        let mut shutdown = self.shutdown.clone();
        let news = async {
            tokio::select! {
                _ = log.wait_for(|head| head.revision > request.after) => {}
                () = time::sleep_until(deadline.into()) => {}
                _ = shutdown.wait_for(|down| *down) => {}
            }
        };
        news.await;
        self.shared_difference(request).await
    }

    async fn shared_difference(&self, request: &ChangesRequest) -> Result<Option<Bytes>, Error> {
        let mut latest = self.latest.lock().await;
        let head = self.store.head();
        if let Some(known) = latest.as_ref()
            && (&known.head, known.after, known.limit) == (&head, request.after, request.limit)
        {
            return Ok(Some(known.body.clone()));
        }
        let read =
            sqlite::changes::since(&mut *self.store.read().await?, request.after, request.limit).await?;
        let Some(page) = read else { return Ok(None) };
        // A new epoch may have begun while the poll was held: its gateway must start over.
        if Some(page.head.epoch.as_str()) != request.epoch.as_deref() {
            return Ok(None);
        }
        self.metrics.sync_page("difference");
        let (head, after, limit) = (page.head.clone(), request.after, request.limit);
        let body = encode(&difference_page(page))?;
        *latest = Some(Latest { head, after, limit, body: body.clone() });
        Ok(Some(body))
    }

    async fn part_of_reset(&self, request: &ChangesRequest) -> Result<Bytes, Error> {
        let mut connection = self.store.read().await?;
        let page = sqlite::changes::table(&mut connection, request.cursor, request.limit).await?;
        drop(connection);
        self.metrics.sync_page("reset");
        encode(&wire_page(page.head.revision, true, page))
    }
}

/// Clamps what a gateway asks for to what a page may hold.
pub fn page_limit(asked: Option<u32>) -> u32 {
    let most = u32::try_from(MAX_PAGE_RECORDS).unwrap_or(u32::MAX);
    asked.unwrap_or(DEFAULT_LIMIT).clamp(1, most)
}

fn difference_page(page: Page) -> wire::Page {
    // With more to come, the gateway is only as far as the last change that it got.
    let last = page.changes.last().map(|change| change.revision);
    let revision = last.filter(|_| page.more).unwrap_or(page.head.revision);
    wire_page(revision, false, page)
}

fn wire_page(revision: u64, reset: bool, page: Page) -> wire::Page {
    let (mut upserts, mut removals) = (Vec::new(), Vec::new());
    for change in page.changes {
        let hash = WireHash(change.hash);
        match change.record {
            Some(record) => upserts.push(Upsert { hash, record }),
            None => removals.push(hash),
        }
    }
    wire::Page { epoch: page.head.epoch, revision, more: page.more, reset, upserts, removals }
}

fn encode(page: &wire::Page) -> Result<Bytes, Error> {
    serde_json::to_vec(page).map(Bytes::from).map_err(Error::internal)
}
