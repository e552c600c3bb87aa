//! The sync protocol, the JSON between gateway and control plane: pages out of the control plane, query parameters out of
//! the gateway. Both programs use these types, so they cannot drift apart.
//!
//! Protocol 2 has records that a gateway of protocol 1 would misread, because it ignores what it does not know and would let pass
//! what it ought to refuse. A gateway that understands them says `accepts=2` in its poll; any other one is shown [`Page::for_old`],
//! in which nothing opens more than it should.
//!
//! A page is accepted whole or not at all: [`Page::parse`] checks every record before anything is applied. Fields that we
//! do not know are ignored, so that a newer control plane can talk to an older gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::json::read;
use super::key::KeyHash;
use super::plan::{MAX_PLANS, Plan};
use super::protocol::Protocol;
use super::record::{KeyRecord, is_name};

/// Path of the endpoint on the control plane.
pub const CHANGES_PATH: &str = "/sync/v1/changes";

/// Most records in a page that a gateway asks for or a control plane sends.
pub const MAX_PAGE_RECORDS: usize = 5_000;

/// One answer of the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Name of the revision history; another one means another database.
    pub epoch: String,
    /// The revision that the gateway is at once it has applied this page; during a reset, the revision of the table when
    /// the reset began.
    pub revision: u64,
    /// The random name of the change that `revision` belongs to. The gateway says it with its next poll, so that a revision of
    /// another history shows. A control plane that knows no tags sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// True when there is more to fetch at once.
    pub more: bool,
    /// True when the page is part of the whole table and not a difference. Its upserts are sorted by hash and are
    /// everything between the request's `cursor` and the last of them.
    pub reset: bool,
    /// All plans by name, when one of them is new or changed, and with the first page of a reset; they come before the records that refer
    /// to them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plans: BTreeMap<String, Plan>,
    /// Records that are new or changed.
    #[serde(default)]
    pub upserts: Vec<Upsert>,
    /// Hashes (64 hex digits) that no longer open anything.
    #[serde(default)]
    pub removals: Vec<WireHash>,
}

/// A record with its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upsert {
    /// SHA-256 of the key.
    pub hash: WireHash,
    /// What the key may do.
    #[serde(flatten)]
    pub record: KeyRecord,
}

/// A key hash as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireHash(pub KeyHash);

/// What a gateway asks: the query of `GET /sync/v1/changes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangesQuery {
    /// The epoch that the gateway's table belongs to; `None` for an empty table.
    pub epoch: Option<String>,
    /// The revision that every worker of the gateway enforces: the acknowledgement.
    pub after: u64,
    /// The tag of `after`, when it is known.
    pub tag: Option<String>,
    /// Who asks; one name per Envoy process.
    pub gateway: String,
    /// Most records in the answer.
    pub limit: u32,
    /// How long the control plane may hold the request when there is nothing new, in seconds.
    pub wait: u32,
    /// True when a worker of the gateway refuses requests because the table was not confirmed for too long: no answer has
    /// arrived, whatever the control plane has sent.
    pub stale: bool,
    /// How many live VMs of the gateway's filter decide requests by the table: one for each worker and one of Envoy's main thread;
    /// `None` when that is not known. With 0 it has the keys and serves nobody, as when the filter's `vm_id` is not the sync's.
    pub workers: Option<u32>,
    /// What the gateway understands.
    pub accepts: Protocol,
    /// Whether a filter of the gateway is in shadow: nothing is refused there. `None` for a gateway of before, which does not say.
    pub shadow: Option<bool>,
    /// During a reset, the last hash already received: the answer goes on behind it.
    pub cursor: Option<KeyHash>,
}

impl Page {
    /// Reads and checks a page. The error is one line for a log: it never holds a hash or the text received.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let page: Self = read(bytes, "page")?;
        page.check()?;
        Ok(page)
    }

    /// What an answer must be beyond its types; the error says what it is not.
    fn check(&self) -> Result<(), String> {
        if !is_name(&self.epoch) {
            return Err("epoch: not a name".to_owned());
        }
        if self.tag.as_deref().is_some_and(|tag| !is_name(tag)) {
            return Err("tag: not a name".to_owned());
        }
        if self.upserts.len().saturating_add(self.removals.len()) > MAX_PAGE_RECORDS {
            return Err(format!("more than {MAX_PAGE_RECORDS} records"));
        }
        for (index, upsert) in self.upserts.iter().enumerate() {
            if let Some((path, why)) = upsert.record.problems().into_iter().next() {
                return Err(format!("upserts[{index}].{path}: {why}"));
            }
        }
        if self.plans.len() > MAX_PLANS {
            return Err(format!("more than {MAX_PLANS} plans"));
        }
        for (name, plan) in &self.plans {
            if !is_name(name) {
                return Err("plans: not a name".to_owned());
            }
            if let Some((path, why)) = plan.problems().into_iter().next() {
                return Err(format!("plans.{name}.{path}: {why}"));
            }
        }
        if self.reset && !self.upserts.is_sorted_by(|a, b| a.hash < b.hash) {
            return Err("upserts: a reset must be sorted by hash, each hash once".to_owned());
        }
        if !self.reset && has_twice(&self.upserts) {
            return Err("upserts: a hash is there twice, and only one of the records can be right".to_owned());
        }
        if self.reset && self.more && self.upserts.is_empty() {
            return Err("upserts: a reset page with more to come is empty".to_owned());
        }
        Ok(())
    }
}

impl Page {
    /// The page as a gateway of protocol 1 may see it: a key that needs more is gone, so it is refused; a fleet limit is each
    /// gateway's own, which is what the limit does anyway when the fleet cannot be reached. A page of a reset says what is there, so
    /// there a key that is left out is gone.
    ///
    /// A page of a reset with more to come has to have a record: whoever sends one of which nothing is left goes on behind it.
    #[must_use]
    pub fn for_old(&self) -> Self {
        let (kept, gone): (Vec<_>, Vec<_>) =
            self.upserts.iter().partition(|upsert| upsert.record.needs() == Protocol::One);
        let upserts =
            kept.into_iter().map(|upsert| Upsert { hash: upsert.hash, record: upsert.record.plain() });
        let mut removals = self.removals.clone();
        if !self.reset {
            removals.extend(gone.into_iter().map(|upsert| upsert.hash));
        }
        let (epoch, tag) = (self.epoch.clone(), self.tag.clone());
        let Self { revision, more, reset, .. } = *self;
        let (plans, upserts) = (BTreeMap::new(), upserts.collect());
        Self { epoch, revision, tag, more, reset, plans, upserts, removals }
    }

    /// Where the next page of a reset begins: behind the last record, shown or not.
    pub fn cursor(&self) -> Option<KeyHash> {
        self.upserts.last().map(|upsert| upsert.hash.0)
    }
}

fn has_twice(upserts: &[Upsert]) -> bool {
    let mut seen = BTreeSet::new();
    !upserts.iter().all(|upsert| seen.insert(upsert.hash))
}

impl ChangesQuery {
    /// Path and query, ready for `:path`. Values are names or numbers, so nothing needs escaping.
    pub fn to_path(&self) -> String {
        let mut path = format!("{CHANGES_PATH}?after={}", self.after);
        // Writing to a String cannot fail.
        let _ = write!(path, "&gateway={}&limit={}&wait={}s", self.gateway, self.limit, self.wait);
        if let Some(epoch) = &self.epoch {
            let _ = write!(path, "&epoch={epoch}");
        }
        if let Some(tag) = &self.tag {
            let _ = write!(path, "&tag={tag}");
        }
        if let Some(workers) = self.workers {
            let _ = write!(path, "&workers={workers}");
        }
        if self.stale {
            path.push_str("&stale=true");
        }
        if let Some(version) = self.accepts.accepts() {
            let _ = write!(path, "&accepts={version}");
        }
        if let Some(shadow) = self.shadow {
            let _ = write!(path, "&shadow={shadow}");
        }
        if let Some(cursor) = &self.cursor {
            let _ = write!(path, "&cursor={}", cursor.to_hex());
        }
        path
    }
}

impl Serialize for WireHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_hex())
    }
}

impl<'de> Deserialize<'de> for WireHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        KeyHash::from_hex(&text).map(Self).ok_or_else(|| serde::de::Error::custom("a hash is 64 hex digits"))
    }
}

#[cfg(test)]
mod tests;
