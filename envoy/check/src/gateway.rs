//! A running gateway, by the pages of its admin interface: is the filter there, has it a table, does the sync work.

use serde_json::Value as Json;

use crate::finding::{Finding, Findings, Rule};
use crate::gateway_rules as rules;
use crate::input::check;
use crate::looked_at::{Admin, Gateway, Known, own_entries};
use crate::model::is_dump;
use crate::options::Options;
use crate::rules as file_rules;
use crate::running::{Sync, guards, has_filter, syncs};
use crate::stats::Stats;
use crate::text;

/// Which statistics are looked at.
pub const STATS_FILTER: &str = "^(wasm|http\\..*(flamegate_guard\\.denied|rq_direct_response)$|cluster\\..*\\.(membership_healthy|outlier_detection\\.ejections_active|upstream_rq_[0-9]+|upstream_rq_timeout|upstream_cx_connect_fail|upstream_cx_destroy_remote_with_active_rq))";

/// The versions of Envoy that the tests run on.
const VERSIONS: &str = include_str!("../../versions.env");
/// Beyond the time for which a poll is held, what a table may be old.
const LATE_SECONDS: f64 = 15.0;
/// Clocks that differ by more are worth a word.
const CLOCK_SECONDS: i64 = 5;
/// As many failed polls are no accident any more.
const MANY: f64 = 5.0;

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
    let mut configured = check(&admin.config_dump, &Options::default());
    // Its gauges are missing then as well, and nobody is refused for want of a table.
    let is_gone =
        !has_filter(&dump) && configured.iter().any(|finding| finding.rule == &file_rules::NO_FILTER);
    let gateway =
        Gateway { admin, known, stats: Stats::read(&admin.stats), own: own_entries(&dump, &info, known) };
    workers(&gateway, &info, &mut findings);
    if !is_gone {
        refused(&gateway, &info, &guards(&dump), &mut findings);
    }
    for sync in &syncs(&dump) {
        if is_gone {
            causes(&gateway, sync, false, &mut findings);
        } else {
            table(&gateway, sync, &mut findings);
        }
    }
    listed(&gateway, &mut findings);
    for finding in &mut configured {
        finding.path = format!("{}/config_dump {}", admin.url, finding.path);
    }
    findings.0.extend(configured);
    findings.sorted()
}

/// A gateway in a line, whatever is wrong with it.
pub fn summary(admin: &Admin) -> String {
    let info: Json = serde_json::from_str(&admin.server_info).unwrap_or_default();
    let version = info.get("version").and_then(Json::as_str).unwrap_or_default();
    let Some(version) = version.split('/').nth(1) else {
        return format!("gateway {}: this is not Envoy's admin interface", admin.url);
    };
    let stats = Stats::read(&admin.stats);
    let table = match (stats.own("keys"), stats.own("revision"), stats.own("table_age_seconds")) {
        (Some(keys), Some(revision), age) if stats.has_table() => {
            let age = age.map_or(String::new(), |age| format!(", confirmed {age} s ago"));
            format!("table of {keys} keys at revision {revision}{age}")
        }
        _ => "no key table".to_owned(),
    };
    format!("gateway {}: Envoy {version}, {table}", admin.url)
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

/// The VMs of the filter.
fn workers(gateway: &Gateway<'_>, info: &Json, findings: &mut Findings) {
    let (stats, place) = (&gateway.stats, gateway.place());
    if stats.sum(|name| name.starts_with("wasmcustom.flamegate_")) <= 0.0 && stats.own("revision").is_none() {
        findings.add(&rules::FILTER_SILENT, &place, 0, "there is no metric of the filter");
    }
    let count = |name| stats.sum(|stat| stat.starts_with("wasm.") && stat.ends_with(name));
    let (reloaded, failed) = (count("vm_reload_success"), count("vm_reload_failure"));
    if reloaded > 0.0 {
        let what = format!("vm_reload_success is {reloaded} since Envoy's start{}", since(info));
        findings.add(&rules::VM_RELOADED, &place, 0, what);
    }
    if failed > 0.0 {
        let what = format!("vm_reload_failure is {failed} since Envoy's start{}", since(info));
        past_when(
            gateway.is_whole(info),
            &rules::VM_DEAD,
            "every worker has a VM now",
            &place,
            what,
            findings,
        );
    }
}

/// What the guard refused.
fn refused(gateway: &Gateway<'_>, info: &Json, guards: &[String], findings: &mut Findings) {
    let stats = &gateway.stats;
    let rbac = stats.sum(|name| name.contains(".rbac.flamegate_guard.") && name.ends_with(".denied"));
    let routes = guards.iter().filter_map(|prefix| stats.get(&format!("http.{prefix}.rq_direct_response")));
    let count = rbac + routes.sum::<f64>();
    if count > 0.0 {
        let what = format!("the guard refused {count} requests since Envoy's start{}", since(info));
        let now = "every worker has a VM now";
        past_when(gateway.is_whole(info), &rules::GUARD_REFUSED, now, &gateway.place(), what, findings);
    }
}

/// Notes what a counter remembers: under its rule, or as a hint when it is known to be over.
fn past_when(
    is_over: bool,
    rule: &'static Rule,
    now: &str,
    place: &str,
    what: String,
    findings: &mut Findings,
) {
    if is_over {
        findings.add(&rules::EARLIER, place, 0, format!("{}: {what}; {now}", rule.name));
    } else {
        findings.add(rule, place, 0, what);
    }
}

/// How long ago Envoy was started, in brackets.
fn since(info: &Json) -> String {
    let uptime = info.get("uptime_current_epoch").and_then(Json::as_str).unwrap_or_default();
    let seconds = uptime.strip_suffix('s').filter(|seconds| seconds.parse::<f64>().is_ok());
    seconds.map_or(String::new(), |seconds| format!(" ({seconds} s ago)"))
}

/// The table, and what keeps it from coming.
fn table(gateway: &Gateway<'_>, sync: &Sync, findings: &mut Findings) {
    let (stats, known, place) = (&gateway.stats, gateway.known, gateway.place());
    let revision = stats.own("revision").unwrap_or_default();
    let is_there = stats.has_table();
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
    if is_there && stats.own("keys").is_some_and(|keys| keys <= 0.0) {
        let database = known.database.as_ref().map_or(String::new(), |database| format!("; {database}"));
        findings.add(&rules::TABLE_EMPTY, &place, 0, format!("the gateway's table has no key{database}"));
    }
    causes(gateway, sync, !is_there || is_old, findings);
}

fn causes(gateway: &Gateway<'_>, Sync { cluster, .. }: &Sync, is_failing: bool, findings: &mut Findings) {
    let (stats, place) = (&gateway.stats, gateway.place());
    let of = |name| stats.cluster(cluster, name);
    let failures = stats.own("sync_failures_total").unwrap_or_default();
    let pages = stats.own("sync_pages_total").unwrap_or_default();
    let refused = of("upstream_rq_401");
    let unreachable = of("upstream_cx_connect_fail");
    let cut = of("upstream_rq_504") + of("upstream_rq_408") + of("upstream_cx_destroy_remote_with_active_rq");
    let mut explained = false;
    // One that Envoy has left for a while is there, and is asked when no other is: what it answers is looked at below.
    if of("membership_healthy") <= 0.0 && of("outlier_detection.ejections_active") <= 0.0 {
        findings.add(&rules::NO_HOST, &place, 0, format!("the cluster {cluster} has no healthy host"));
        explained = true;
    }
    if refused > 0.0 && (is_failing || failures >= MANY) {
        let what = format!("the cluster {cluster} answered 401 {refused} times since Envoy's start");
        let age = stats.own("table_age_seconds").unwrap_or_default();
        let now = format!("the table was confirmed {age} s ago");
        past_when(!is_failing, &rules::TOKEN_REFUSED, &now, &place, what, findings);
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
            format!(
                "{cut} polls of {} since Envoy's start were cut by the cluster {cluster}",
                failures + pages
            ),
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
fn listed(Gateway { admin, own, .. }: &Gateway<'_>, findings: &mut Findings) {
    if !own.names.is_empty() && own.connected.is_empty() {
        let what =
            format!("no connected gateway of the control plane is called {}-…", own.names.join("-… or "));
        findings.add(&rules::UNKNOWN_GATEWAY, &admin.url, 0, what);
    }
}

/// A revision as statistics have it: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "Envoy's gauges are read as floating point as well")]
const fn whole(revision: u64) -> f64 {
    revision as f64
}
