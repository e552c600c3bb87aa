//! A running gateway, by the pages of its admin interface: is the filter there, has it a table, does the sync work.

use std::collections::HashMap;

use serde_json::Value as Json;

use crate::finding::{Finding, Findings};
use crate::gateway_rules as rules;
use crate::input::check;
use crate::model::is_dump;
use crate::options::Options;
use crate::running::{Sync, guards, names, syncs};
use crate::text;

/// What was read of a gateway's admin interface.
#[derive(Clone, Debug, Default)]
pub struct Admin {
    /// Where it is, for people.
    pub url: String,
    /// `/config_dump`
    pub config_dump: String,
    /// `/server_info`
    pub server_info: String,
    /// `/stats` with [`STATS_FILTER`].
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
}

/// Which statistics are looked at.
pub const STATS_FILTER: &str = "^(wasm|http\\..*(flamegate_guard\\.denied|rq_direct_response)$|cluster\\..*\\.(membership_healthy|upstream_rq_[0-9]+|upstream_rq_timeout|upstream_cx_connect_fail|upstream_cx_destroy_remote_with_active_rq))";

/// The versions of Envoy that the tests run on.
const VERSIONS: &str = include_str!("../../versions.env");
/// Beyond the time for which a poll is held, what a table may be old.
const LATE_SECONDS: f64 = 15.0;
/// Clocks that differ by more are worth a word.
const CLOCK_SECONDS: i64 = 5;
/// As many failed polls are no accident any more.
const MANY: f64 = 5.0;

/// Statistics by their names.
struct Stats<'a>(HashMap<&'a str, f64>);

impl<'a> Stats<'a> {
    fn read(text: &'a str) -> Self {
        let line = |line: &'a str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name, value.trim().parse().ok()?))
        };
        Self(text.lines().filter_map(line).collect())
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// One of the filter's own.
    fn own(&self, name: &str) -> Option<f64> {
        self.get(&format!("wasmcustom.flamegate_{name}"))
    }

    /// One of a cluster.
    fn cluster(&self, cluster: &str, name: &str) -> f64 {
        self.get(&format!("cluster.{}.{name}", cluster.replace(':', "_"))).unwrap_or_default()
    }

    fn sum(&self, is_it: impl Fn(&str) -> bool) -> f64 {
        self.0.iter().filter(|(name, _)| is_it(name)).map(|(_, value)| value).sum()
    }
}

/// What is wrong with a gateway.
pub fn look(admin: &Admin, known: &Known) -> Vec<Finding> {
    let mut findings = Findings::default();
    let info: Json = serde_json::from_str(&admin.server_info).unwrap_or_default();
    let dump = text::read(&admin.config_dump).ok().and_then(|read| read.documents.into_iter().next());
    let Some((dump, version)) = dump.filter(is_dump).zip(info.get("version").and_then(Json::as_str)) else {
        findings.add(
            &rules::NOT_ENVOY,
            &admin.url,
            0,
            "what answers has no /config_dump and /server_info of Envoy",
        );
        return findings.sorted();
    };
    itself(admin, &info, version, &mut findings);
    let syncs = syncs(&dump);
    let stats = Stats::read(&admin.stats);
    workers(admin, &stats, &guards(&dump), &mut findings);
    for sync in &syncs {
        table(admin, sync, &stats, known, &mut findings);
    }
    listed(admin, &info, known, &mut findings);
    let options = Options::default();
    let configured = check(&admin.config_dump, &options).into_iter().map(|mut finding| {
        finding.path = format!("{}/config_dump {}", admin.url, finding.path);
        finding
    });
    findings.0.extend(configured);
    findings.sorted()
}

/// A gateway in a line, whatever is wrong with it.
pub fn summary(admin: &Admin) -> String {
    let info: Json = serde_json::from_str(&admin.server_info).unwrap_or_default();
    let version = info.get("version").and_then(Json::as_str).unwrap_or_default();
    let version = version.split('/').nth(1).unwrap_or("of no known version");
    let stats = Stats::read(&admin.stats);
    let own = |name| stats.own(name).map_or_else(|| "no".to_owned(), |value| value.to_string());
    format!(
        "gateway {}: Envoy {version}, table of {} keys at revision {}, confirmed {} s ago",
        admin.url,
        own("keys"),
        own("revision"),
        own("table_age_seconds")
    )
}

/// Version, state and clock.
fn itself(admin: &Admin, info: &Json, version: &str, findings: &mut Findings) {
    let place = format!("{}/server_info", admin.url);
    if let Some(state) = info.get("state").and_then(Json::as_str).filter(|state| *state != "LIVE") {
        findings.add(&rules::NOT_LIVE, &place, 0, format!("Envoy says {state}"));
    }
    // As `<commit>/1.40.0/Clean/RELEASE/BoringSSL`.
    let number = version.split('/').nth(1).unwrap_or(version);
    let minor = |number: &str| number.split('.').take(2).collect::<Vec<_>>().join(".");
    let tested = VERSIONS.lines().find_map(|line| line.strip_prefix("ENVOY_MATRIX=")).unwrap_or_default();
    let mut tested = tested.trim_matches('"').split(' ');
    if !tested.clone().any(|known| minor(known) == minor(number)) {
        let what = format!("Envoy {number} is none of {}", tested.by_ref().collect::<Vec<_>>().join(", "));
        findings.add(&rules::ENVOY_VERSION, &place, 0, what);
    }
    if let Some(ahead) = admin.ahead_seconds.filter(|ahead| ahead.abs() > CLOCK_SECONDS) {
        let (far, which) = (ahead.abs(), if ahead > 0 { "ahead of" } else { "behind" });
        findings.add(
            &rules::CLOCK,
            &admin.url,
            0,
            format!("Envoy's clock is {far} s {which} this machine's"),
        );
    }
}

/// The VMs of the filter, and what the guard refused.
fn workers(admin: &Admin, stats: &Stats<'_>, guards: &[String], findings: &mut Findings) {
    let place = format!("{}/stats", admin.url);
    if stats.sum(|name| name.starts_with("wasmcustom.flamegate_")) <= 0.0 && stats.own("revision").is_none() {
        findings.add(&rules::FILTER_SILENT, &place, 0, "there is no metric of the filter");
    }
    for (name, rule) in [("vm_reload_success", &rules::VM_RELOADED), ("vm_reload_failure", &rules::VM_DEAD)] {
        let count = stats.sum(|stat| stat.starts_with("wasm.") && stat.ends_with(name));
        if count > 0.0 {
            findings.add(rule, &place, 0, format!("{name} is {count}"));
        }
    }
    let rbac = stats.sum(|name| name.contains(".rbac.flamegate_guard.") && name.ends_with(".denied"));
    let routes = guards.iter().filter_map(|prefix| stats.get(&format!("http.{prefix}.rq_direct_response")));
    let refused = rbac + routes.sum::<f64>();
    if refused > 0.0 {
        findings.add(&rules::GUARD_REFUSED, &place, 0, format!("the guard refused {refused} requests"));
    }
}

/// The table, and what keeps it from coming.
fn table(admin: &Admin, sync: &Sync, stats: &Stats<'_>, known: &Known, findings: &mut Findings) {
    let place = format!("{}/stats", admin.url);
    let revision = stats.own("revision").unwrap_or_default();
    let is_there = stats.own("table_present").unwrap_or(revision) > 0.0;
    let age = stats.own("table_age_seconds").unwrap_or_default();
    let wait = std::time::Duration::from_secs(sync.wait_seconds).as_secs_f64();
    let is_old = is_there && age > wait + LATE_SECONDS;
    let behind_by = known.revision.map(|head| whole(head) - revision);
    if !is_there {
        findings.add(&rules::TABLE_MISSING, &place, 0, "the gateway has no key table");
    } else if is_old {
        findings.add(&rules::TABLE_OLD, &place, 0, format!("the table was last confirmed {age} s ago"));
    } else if behind_by.is_some_and(|by| by < 0.0) {
        let what = format!(
            "the gateway is at revision {revision}, {} beyond the control plane's",
            behind_by.unwrap_or_default().abs()
        );
        findings.add(&rules::OTHER_HISTORY, &place, 0, what);
    } else if behind_by.is_some_and(|by| by > 0.0) {
        let what = format!(
            "the gateway is at revision {revision}, {} behind the control plane's",
            behind_by.unwrap_or_default()
        );
        findings.add(&rules::BEHIND, &place, 0, what);
    }
    causes(admin, sync, stats, !is_there || is_old, findings);
}

fn causes(
    admin: &Admin,
    Sync { cluster, .. }: &Sync,
    stats: &Stats<'_>,
    is_failing: bool,
    findings: &mut Findings,
) {
    let place = format!("{}/stats", admin.url);
    let of = |name| stats.cluster(cluster, name);
    let failures = stats.own("sync_failures_total").unwrap_or_default();
    let pages = stats.own("sync_pages_total").unwrap_or_default();
    let refused = of("upstream_rq_401");
    let unreachable = of("upstream_cx_connect_fail");
    let cut = of("upstream_rq_504") + of("upstream_rq_408") + of("upstream_cx_destroy_remote_with_active_rq");
    let mut explained = false;
    if of("membership_healthy") <= 0.0 {
        findings.add(&rules::NO_HOST, &place, 0, format!("the cluster {cluster} has no healthy host"));
        explained = true;
    }
    if refused > 0.0 && (is_failing || failures >= MANY) {
        findings.add(
            &rules::TOKEN_REFUSED,
            &place,
            0,
            format!("the cluster {cluster} answered 401 {refused} times"),
        );
        explained = true;
    }
    if unreachable > 0.0 && is_failing {
        findings.add(
            &rules::NO_CONNECTION,
            &place,
            0,
            format!("{unreachable} connections to the cluster {cluster} failed"),
        );
        explained = true;
    }
    if !explained && cut >= MANY && failures * 5.0 > pages {
        findings.add(
            &rules::POLLS_CUT,
            &place,
            0,
            format!("{cut} polls of {} were cut by the cluster {cluster}", failures + pages),
        );
        explained = true;
    }
    if !explained && failures > 0.0 {
        findings.add(
            &rules::POLLS_FAILED,
            &place,
            0,
            format!("{failures} polls have failed since Envoy's start, {pages} pages arrived"),
        );
    }
}

/// Whether the control plane knows this gateway.
fn listed(admin: &Admin, info: &Json, known: &Known, findings: &mut Findings) {
    let node = info.pointer("/node/id").and_then(Json::as_str).unwrap_or_default();
    let Some(gateways) = known.gateways.as_ref().filter(|_| !node.is_empty()) else { return };
    let dump = text::read(&admin.config_dump).ok().and_then(|read| read.documents.into_iter().next());
    let named = dump.as_ref().map(names).unwrap_or_default();
    let plain = |text: &str| {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).collect::<String>()
    };
    let names: Vec<_> = if named.is_empty() { vec![plain(node)] } else { named };
    let is_it = |gateway: &Json| {
        let id = gateway.get("id").and_then(Json::as_str).unwrap_or_default();
        let process = id.split_once('/').map_or(id, |(_, process)| process);
        let connected = gateway.get("connected").and_then(Json::as_bool).unwrap_or_default();
        connected
            && names
                .iter()
                .any(|name| process.starts_with(&format!("{}-", name.chars().take(48).collect::<String>())))
    };
    if !gateways.iter().any(is_it) {
        let what = format!("no connected gateway of the control plane is called {}-…", names.join("-… or "));
        findings.add(&rules::UNKNOWN_GATEWAY, &admin.url, 0, what);
    }
}

/// A revision as statistics have it: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "Envoy's gauges are read as floating point as well")]
const fn whole(revision: u64) -> f64 {
    revision as f64
}
