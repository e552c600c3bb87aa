//! Reading for those who ask for much: one page at a time for each credential.
//!
//! Whoever has stolen one credential keeps one reader busy at most, and those wait who share that credential: for one request of each neighbourhood of addresses. A lane remembers
//! its last page: gateways that start together, or that a large change wakes, ask for the same ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{Mutex as Lane, OwnedMutexGuard};

use super::page::{self, ChangesRequest, Difference, encode};
use crate::contract::page::{MAX_PAGE_RECORDS, Page};
use crate::contract::{KeyHash, Protocol};
use crate::domain::addresses::neighbourhood;
use crate::domain::credentials::Credential;
use crate::domain::error::Error;
use crate::domain::log::{Head, Since};
use crate::service::credentials::Credentials;
use crate::service::metrics::Metrics;
use crate::store::Store;

/// Neighbourhoods that are kept though none of theirs waits.
const IDLE_TURNS: usize = 1_024;

/// Who share a credential and a neighbourhood of addresses.
type Neighbours = (Credential, Option<u128>);

/// A lane for each credential that asked.
pub(super) struct Lanes {
    store: Store,
    credentials: Credentials,
    metrics: Metrics,
    lanes: Mutex<HashMap<Credential, Arc<Lane<Option<Latest>>>>>,
    /// One for each neighbourhood of addresses that asked under a credential, and was not swept away since.
    turns: Mutex<HashMap<Neighbours, Arc<Lane<()>>>>,
}

/// A request's turn, until it is dropped: first the lane is free, then the next of its neighbourhood may wait there.
pub(super) struct Turn {
    latest: OwnedMutexGuard<Option<Latest>>,
    _of_address: OwnedMutexGuard<()>,
}

/// The page that was read last, ready to be sent.
struct Latest {
    head: Head,
    question: Question,
    body: Bytes,
}

#[derive(PartialEq, Eq)]
enum Question {
    Since { after: u64, tag: Option<String>, limit: u32, accepts: Protocol },
    Table { cursor: Option<KeyHash>, limit: u32, accepts: Protocol },
}

impl Lanes {
    pub fn new(store: Store, credentials: Credentials, metrics: Metrics) -> Self {
        Self { store, credentials, metrics, lanes: Mutex::default(), turns: Mutex::default() }
    }

    /// What changed after the gateway's revision.
    pub async fn difference(&self, request: &ChangesRequest) -> Result<Difference, Error> {
        let mut turn = self.enter(request).await?;
        let ChangesRequest { after, tag, limit, accepts, .. } = request.clone();
        let (head, question) = (self.store.head(), Question::Since { after, tag, limit, accepts });
        if let Some(body) = known(turn.latest.as_ref(), &head, &question) {
            return Ok(Difference::Page(body));
        }
        let mut connection = self.store.read().await?;
        let found = connection.changes_since(after, request.tag.as_deref(), limit).await?;
        drop(connection);
        let page = match found {
            Since::Changes { page, .. } => page,
            Since::TooOld => return Ok(Difference::TooOld),
            Since::Unknown => return Ok(Difference::Unknown),
        };
        self.metrics.sync_page("difference");
        let body = encode(page::difference(page), accepts)?;
        *turn.latest = Some(Latest { head, question, body: body.clone() });
        Ok(Difference::Page(body))
    }

    /// The part of the whole table behind the gateway's cursor.
    pub async fn part_of_reset(&self, request: &ChangesRequest) -> Result<Bytes, Error> {
        let mut turn = self.enter(request).await?;
        let ChangesRequest { cursor, limit, accepts, .. } = *request;
        let (head, question) = (self.store.head(), Question::Table { cursor, limit, accepts });
        if let Some(body) = known(turn.latest.as_ref(), &head, &question) {
            return Ok(body);
        }
        let mut page = self.part(cursor, limit).await?;
        // Nothing of it is for this gateway: it goes on behind it, or it would ask for the same again.
        while accepts == Protocol::One && page.more && page.for_old().upserts.is_empty() {
            page = self.part(page.cursor(), u32::try_from(MAX_PAGE_RECORDS).unwrap_or(limit)).await?;
        }
        self.metrics.sync_page("reset");
        let body = encode(page, accepts)?;
        *turn.latest = Some(Latest { head, question, body: body.clone() });
        Ok(body)
    }

    async fn part(&self, cursor: Option<KeyHash>, limit: u32) -> Result<Page, Error> {
        let mut connection = self.store.read().await?;
        connection.part_of_table(cursor, limit).await.map(page::part)
    }

    /// When it is this request's turn, if its credential is still good then: many may have waited. Of one neighbourhood one
    /// waits in the lane at a time, so that a thief with a thousand polls is before nobody else more than once.
    pub async fn enter(&self, request: &ChangesRequest) -> Result<Turn, Error> {
        let of_address = self.of_address(request).lock_owned().await;
        let latest = self.of(&request.credential).lock_owned().await;
        self.credentials.check(&request.credential)?;
        Ok(Turn { latest, _of_address: of_address })
    }

    fn of_address(&self, request: &ChangesRequest) -> Arc<Lane<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() > IDLE_TURNS {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        let key = (request.credential.clone(), request.address.map(neighbourhood));
        Arc::clone(turns.entry(key).or_default())
    }

    fn of(&self, credential: &Credential) -> Arc<Lane<Option<Latest>>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry(credential.clone()).or_default())
    }
}

fn known(latest: Option<&Latest>, head: &Head, question: &Question) -> Option<Bytes> {
    latest.filter(|known| known.head == *head && known.question == *question).map(|known| known.body.clone())
}
