//! Sync protocol 2: records that a gateway of protocol 1 would misread, because it ignores what it does not know and would let pass
//! what it ought to refuse. A gateway that understands them says `accepts=2` in its poll; any other one is shown [`Page2::for_old`],
//! in which nothing opens more than it should.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::json::read;
use super::key::{Environment, KeyHash};
use super::page::{Page, Upsert, WireHash};
use super::protocol::Protocol;
use super::record::{KeyRecord, Limit, MAX_LIMITS, Scope, is_name};

/// One answer of the control plane to a gateway of protocol 2. Plans come before the records that refer to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page2 {
    /// See [`Page::epoch`].
    pub epoch: String,
    /// See [`Page::revision`].
    pub revision: u64,
    /// See [`Page::tag`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// See [`Page::more`].
    pub more: bool,
    /// See [`Page::reset`].
    pub reset: bool,
    /// Plans that are new or changed, by name.
    #[serde(default)]
    pub plans: BTreeMap<String, Plan>,
    /// Records that are new or changed.
    #[serde(default)]
    pub upserts: Vec<Upsert2>,
    /// Hashes that no longer open anything.
    #[serde(default)]
    pub removals: Vec<WireHash>,
}

/// A record with its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upsert2 {
    /// SHA-256 of the key.
    pub hash: WireHash,
    /// What the key may do.
    #[serde(flatten)]
    pub record: Record2,
}

/// A key record of protocol 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record2 {
    /// See [`KeyRecord::id`].
    pub id: String,
    /// See [`KeyRecord::workspace`].
    pub workspace: String,
    /// See [`KeyRecord::environment`].
    pub environment: Environment,
    /// See [`KeyRecord::expires_at`].
    #[serde(default)]
    pub expires_at: Option<u64>,
    /// See [`KeyRecord::limits`].
    #[serde(default)]
    pub limits: Vec<Limit2>,
    /// Outside of this the key is refused with 403.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restrict: Option<Restrict>,
    /// The plan whose limits and restrictions apply as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Decided and counted, but let pass: only operators set it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// A limit with its reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit2 {
    /// What protocol 1 knows of it.
    #[serde(flatten)]
    pub limit: Limit,
    /// Which gateways count together.
    #[serde(default)]
    pub reach: Reach,
    /// Of a fleet limit whose engine is away.
    #[serde(default)]
    pub when_unreachable: WhenUnreachable,
}

/// A named set of limits and restrictions; of one scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Goes up with each change.
    pub version: u64,
    /// All of one scope.
    #[serde(default)]
    pub limits: Vec<Limit2>,
    /// See [`Record2::restrict`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restrict: Option<Restrict>,
}

/// Which gateways count a limit together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// Each gateway for itself.
    #[default]
    Gateway,
    /// All of them.
    Fleet,
}

/// What a fleet limit does while its tokens cannot be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnreachable {
    /// Each gateway applies it for itself.
    #[default]
    Gateway,
    /// 429, so that the bound stands.
    Refuse,
}

/// What a key may be used for. An empty list restricts nothing; each list that has something must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restrict {
    /// Methods, upper case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Paths, or beginnings of paths that end in `/*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Networks of clients, as `10.0.0.0/8`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// Fastest limit of the whole fleet, in requests per second.
pub const MAX_FLEET_RATE: u32 = 10_000;
/// Most entries of one list of a [`Restrict`].
pub const MAX_RESTRICT_ENTRIES: usize = 32;
/// Longest path of a [`Restrict`], in bytes.
pub const MAX_PATH_LEN: usize = 256;

impl Record2 {
    /// What a gateway has to understand to be shown this record. A fleet limit is understood by all: for an old gateway it is its own.
    pub const fn needs(&self) -> Protocol {
        let plain = self.restrict.is_none() && self.plan.is_none() && !self.shadow;
        if plain { Protocol::One } else { Protocol::Two }
    }

    /// What protocol 1 knows of it. Only to be shown to a gateway of protocol 1 when the record [needs](Self::needs) no more.
    fn plain(&self) -> KeyRecord {
        KeyRecord {
            id: self.id.clone(),
            workspace: self.workspace.clone(),
            environment: self.environment,
            expires_at: self.expires_at,
            limits: self.limits.iter().map(|limit| limit.limit.clone()).collect(),
        }
    }

    /// Checks what the types do not, as [`KeyRecord::problems`].
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = self.plain().problems();
        found.extend(reach_problems(&self.limits));
        if self.plan.as_deref().is_some_and(|plan| !is_name(plan)) {
            found.push(("plan".to_owned(), "not a name".to_owned()));
        }
        found.extend(self.restrict.iter().flat_map(Restrict::problems));
        found
    }
}

impl Plan {
    /// Checks what the types do not. A plan is a key's or a workspace's: its limits are of one scope.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if self.limits.len() > MAX_LIMITS {
            found.push(("limits".to_owned(), format!("at most {MAX_LIMITS} limits")));
        }
        let of = |scope: Scope| self.limits.iter().any(|limit| limit.limit.scope == scope);
        if of(Scope::Key) && of(Scope::Workspace) {
            found.push(("limits".to_owned(), "of two scopes".to_owned()));
        }
        for (index, limit) in self.limits.iter().enumerate() {
            let below = limit.limit.problems().into_iter();
            found.extend(below.map(|(path, why)| (format!("limits[{index}].{path}"), why)));
        }
        found.extend(reach_problems(&self.limits));
        found.extend(self.restrict.iter().flat_map(Restrict::problems));
        found
    }
}

/// A limit of the whole fleet has a bound on its rate: its tokens are lent by one engine.
fn reach_problems(limits: &[Limit2]) -> Vec<(String, String)> {
    let too_fast = |Limit2 { limit, reach, .. }: &Limit2| {
        let most = MAX_FLEET_RATE.saturating_mul(limit.window_seconds.get());
        *reach == Reach::Fleet && limit.requests.get() > most
    };
    let fast = limits.iter().enumerate().filter(|(_, limit)| too_fast(limit));
    let why = format!("a fleet limit admits at most {MAX_FLEET_RATE} requests a second");
    fast.map(|(index, _)| (format!("limits[{index}].requests"), why.clone())).collect()
}

impl Restrict {
    /// Everything that is wrong, as (path below the record, what is wrong).
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        found.extend(list_problems("methods", &self.methods, is_method));
        found.extend(list_problems("paths", &self.paths, |path| {
            path.starts_with('/') && path.len() <= MAX_PATH_LEN
        }));
        found.extend(list_problems("addresses", &self.addresses, is_network));
        found
    }
}

/// What is wrong with one list of a [`Restrict`].
fn list_problems(name: &str, list: &[String], is_good: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let too_many = (list.len() > MAX_RESTRICT_ENTRIES)
        .then(|| (format!("restrict.{name}"), format!("at most {MAX_RESTRICT_ENTRIES}")));
    let bad = list.iter().enumerate().filter(|(_, entry)| !is_good(entry));
    let bad = bad.map(|(index, _)| (format!("restrict.{name}[{index}]"), "not one".to_owned()));
    too_many.into_iter().chain(bad).collect()
}

fn is_method(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// True for an address, or one with the number of its first bits.
fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

impl Page2 {
    /// Understands an answer; the error is one line for a log. As strict as [`Page::parse`].
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let page: Self = read(json, "page")?;
        for (index, upsert) in page.upserts.iter().enumerate() {
            if let Some((path, why)) = upsert.record.problems().into_iter().next() {
                return Err(format!("upserts[{index}].{path}: {why}"));
            }
        }
        for (name, plan) in &page.plans {
            if !is_name(name) {
                return Err("plans: not a name".to_owned());
            }
            if let Some((path, why)) = plan.problems().into_iter().next() {
                return Err(format!("plans.{name}.{path}: {why}"));
            }
        }
        // What both protocols ask of a page: names, number and order.
        let plain = |upsert: &Upsert2| Upsert { hash: upsert.hash, record: upsert.record.plain() };
        page.with_records(page.upserts.iter().map(plain).collect(), page.removals.clone()).check()?;
        Ok(page)
    }

    /// The page as a gateway of protocol 1 may see it: a key that needs more is gone, so it is refused; a fleet limit is each
    /// gateway's own, which is what the limit does anyway when the fleet cannot be reached. A page of a reset says what is there, so
    /// there a key that is left out is gone.
    ///
    /// A page of a reset that loses its last record still ends where it ended: `None` when nothing would be left of one that has more
    /// to come, and the caller goes on behind it.
    pub fn for_old(&self) -> Option<Page> {
        let (kept, gone): (Vec<_>, Vec<_>) =
            self.upserts.iter().partition(|upsert| upsert.record.needs() == Protocol::One);
        if self.reset && self.more && kept.is_empty() {
            return None;
        }
        let upserts =
            kept.into_iter().map(|upsert| Upsert { hash: upsert.hash, record: upsert.record.plain() });
        let mut removals = self.removals.clone();
        if !self.reset {
            removals.extend(gone.into_iter().map(|upsert| upsert.hash));
        }
        Some(self.with_records(upserts.collect(), removals))
    }

    /// Where the next page of a reset begins: behind the last record, shown or not.
    pub fn cursor(&self) -> Option<KeyHash> {
        self.upserts.last().map(|upsert| upsert.hash.0)
    }

    fn with_records(&self, upserts: Vec<Upsert>, removals: Vec<WireHash>) -> Page {
        Page {
            epoch: self.epoch.clone(),
            revision: self.revision,
            tag: self.tag.clone(),
            more: self.more,
            reset: self.reset,
            upserts,
            removals,
        }
    }
}

#[cfg(test)]
mod tests;
