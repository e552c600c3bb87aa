//! One gateway that is looked at, and what the control plane lists of it.

use serde_json::Value as Json;

use crate::node::Node;
use crate::running::names;
use crate::stats::Stats;

/// What was read of a gateway's admin interface.
#[derive(Clone, Debug, Default)]
pub struct Admin {
    /// Where it is, for people.
    pub url: String,
    /// `/config_dump`
    pub config_dump: String,
    /// `/server_info`
    pub server_info: String,
    /// `/stats` with `STATS_FILTER` of `gateway.rs`.
    pub stats: String,
    /// How many seconds its clock is ahead of ours.
    pub ahead_seconds: Option<i64>,
}

/// What the control plane knows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Its last revision.
    pub revision: Option<u64>,
    /// `data` of `/v1/gateways`.
    pub gateways: Option<Vec<Json>>,
    /// Its database, for people.
    pub database: Option<String>,
}

/// A gateway that is looked at.
pub struct Gateway<'a> {
    /// Its pages.
    pub admin: &'a Admin,
    /// What the control plane knows.
    pub known: &'a Known,
    /// Its statistics.
    pub stats: Stats<'a>,
    /// What of that is about it.
    pub own: Own,
}

/// What the control plane lists under a gateway's names.
pub struct Own {
    /// The beginnings of its ids; empty when they are not known.
    pub names: Vec<String>,
    /// Those that are connected.
    pub connected: Vec<Json>,
}

impl Gateway<'_> {
    /// Where its statistics stand.
    pub fn place(&self) -> String {
        format!("{}/stats", self.admin.url)
    }

    /// True when the control plane has heard that all VMs of the filter are there: one for each worker, and one of the main thread.
    pub fn is_whole(&self, info: &Json) -> bool {
        let workers =
            info.pointer("/command_line_options/concurrency").and_then(Json::as_u64).unwrap_or(u64::MAX);
        let live =
            |gateway: &Json| gateway.get("workers").and_then(Json::as_u64).is_some_and(|live| live > workers);
        !self.own.connected.is_empty() && self.own.connected.iter().all(live)
    }
}

/// What the control plane lists under this gateway's names.
pub fn own_entries(dump: &Node, info: &Json, known: &Known) -> Own {
    let node = info.pointer("/node/id").and_then(Json::as_str).unwrap_or_default();
    let Some(gateways) = known.gateways.as_ref().filter(|_| !node.is_empty()) else {
        return Own { names: Vec::new(), connected: Vec::new() };
    };
    let plain = node.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).collect::<String>();
    let named = names(dump);
    let names = if named.is_empty() { vec![plain] } else { named };
    let is_it = |gateway: &Json| {
        let id = gateway.get("id").and_then(Json::as_str).unwrap_or_default();
        let process = id.split_once('/').map_or(id, |(_, process)| process);
        let begins = |name: &String| format!("{}-", name.chars().take(48).collect::<String>());
        gateway.get("connected").and_then(Json::as_bool).unwrap_or_default()
            && names.iter().any(|name| process.starts_with(&begins(name)))
    };
    let connected = gateways.iter().filter(|gateway| is_it(gateway)).cloned().collect();
    Own { names, connected }
}
