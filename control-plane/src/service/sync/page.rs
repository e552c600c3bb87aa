//! What a gateway asks for, and the page that it gets.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::contract::page::{self, MAX_PAGE_RECORDS, Upsert, WireHash};
use crate::contract::{KeyHash, Protocol};
use crate::domain::credentials::Credential;
use crate::domain::error::Error;
use crate::domain::log::{Head, Page};

/// A checked poll.
#[derive(Clone, Debug)]
pub struct ChangesRequest {
    /// The credential that it has shown.
    pub credential: Credential,
    /// Where it comes from.
    pub address: Option<IpAddr>,
    /// Who asks: what the gateway calls itself.
    pub gateway: String,
    /// SHA-256 of its process's session; `None` for a filter that has none.
    pub session: Option<[u8; 32]>,
    /// Its program's version.
    pub version: Option<String>,
    /// The epoch of its table; `None` while it has none.
    pub epoch: Option<String>,
    /// The revision that it enforces.
    pub after: u64,
    /// The tag of that; `None` for a filter that knows none.
    pub tag: Option<String>,
    /// What every worker of it understands.
    pub accepts: Protocol,
    /// What its table was made for.
    pub shown: Protocol,
    /// Most records in the answer.
    pub limit: u32,
    /// How long it is ready to wait.
    pub wait: Duration,
    /// It refuses requests because its table was not confirmed for too long.
    pub stale: bool,
    /// How many of its workers have the table; `None` for a filter that does not say.
    pub workers: Option<u32>,
    /// Whether a filter of it is in shadow; `None` for one that does not say.
    pub shadow: Option<bool>,
    /// During a reset: everything up to here has arrived.
    pub cursor: Option<KeyHash>,
}

/// What follows a revision.
pub(super) enum Difference {
    /// This page.
    Page(Bytes),
    /// More than the log still has.
    TooOld,
    /// Nothing: it is a revision of another history.
    Unknown,
}

/// Records in an answer when the gateway does not say.
pub const DEFAULT_LIMIT: u32 = 500;

/// Longest hold of a poll.
pub const MAX_WAIT: Duration = Duration::from_secs(60);

impl ChangesRequest {
    /// True when a held poll is to be answered: the log goes on, or what the gateway has is not where it stands any more, although the
    /// number may be the same or a greater one. That is so after a failover which has lost the newest commits.
    pub(super) fn is_outdated(&self, head: &Head) -> bool {
        self.epoch.as_deref() != Some(head.epoch.as_str()) || !self.is_at(head)
    }

    /// True when the gateway has everything up to `head`, of the same history.
    pub(super) fn is_at(&self, head: &Head) -> bool {
        self.after == head.revision && self.tag.as_ref().is_none_or(|tag| *tag == head.tag)
    }
}

/// Clamps what a gateway asks for to what a page may hold.
pub fn page_limit(asked: Option<u32>) -> u32 {
    let most = u32::try_from(MAX_PAGE_RECORDS).unwrap_or(u32::MAX);
    asked.unwrap_or(DEFAULT_LIMIT).clamp(1, most)
}

pub(super) fn empty_page(head: Head, accepts: Protocol) -> Result<Bytes, Error> {
    let (revision, tag) = (head.revision, head.tag.clone());
    encode(
        difference(Page { head, revision, tag, plans: Vec::new(), changes: Vec::new(), more: false }),
        accepts,
    )
}

/// What changed.
pub(super) fn difference(page: Page) -> page::Page {
    whole(page, false)
}

/// A part of the whole table.
pub(super) fn part(page: Page) -> page::Page {
    whole(page, true)
}

fn whole(page: Page, reset: bool) -> page::Page {
    let (mut upserts, mut removals) = (Vec::new(), Vec::new());
    for change in page.changes {
        let hash = WireHash(change.hash);
        match change.record {
            Some(record) => upserts.push(Upsert { hash, record }),
            None => removals.push(hash),
        }
    }
    let (epoch, revision, tag, more) = (page.head.epoch, page.revision, Some(page.tag), page.more);
    let plans = page.plans.iter().map(|plan| (plan.name.clone(), plan.for_gateways())).collect();
    page::Page { epoch, revision, tag, more, reset, plans, upserts, removals }
}

/// The page as JSON, as a gateway may see it that understands this.
pub(super) fn encode(mut page: page::Page, accepts: Protocol) -> Result<Bytes, Error> {
    if accepts == Protocol::One {
        page = page.for_old();
    }
    page.tag = page.tag.map(|tag| accepts.mark(&tag));
    serde_json::to_vec(&page).map(Bytes::from).map_err(Error::internal)
}
