//! The tables of the report.

use std::fmt::Write as _;

use serde_json::Value;

use super::{KEYS, chart::thousands};
use crate::{
    keysync::Outcome,
    measure::median,
    results::{Results, Row},
};

/// Rows that stand in the comparison, besides Flamegate's.
const OTHERS: [&str; 7] = [
    "api-key-auth",
    "api-key-auth-limit",
    "haproxy",
    "empty-filter",
    "lua",
    "ext-authz-http",
    "ext-authz-grpc",
];
/// Flamegate's states, in the order of the tables.
const STATES: [&str; 17] = [
    "bare-hot",
    "bare-unlimited",
    "bare-cycle",
    "bare-exact",
    "bare-scattered",
    "headers-hot",
    "headers-plain",
    "headers-forged-one",
    "headers-forged-all",
    "default-hot",
    "shipped-hot",
    "shipped-rbac-hot",
    "ratelimit-hot",
    "missing",
    "unknown",
    "random",
    "used-up",
];
/// Flamegate's states in the comparison with others.
const COMPARED: [&str; 7] =
    ["bare-hot", "headers-hot", "default-hot", "shipped-hot", "missing", "random", "used-up"];
/// What issue 6 asks for: instructions added at 1,000 keys.
const TARGETS: [(&str, f64); 2] = [("bare-hot", 24_000.0), ("headers-hot", 40_000.0)];

/// True for a row of ours.
pub fn is_ours(row: &Row) -> bool {
    STATES.contains(&row.id.as_str())
}

/// All rows of the comparison at 1,000 keys, the cheapest first.
pub fn compared(results: &Results) -> Vec<&Row> {
    let named = OTHERS.iter().chain(&COMPARED);
    let mut rows: Vec<&Row> =
        named.filter_map(|id| results.row(id, KEYS).or_else(|| results.row(id, 0))).collect();
    rows.sort_by(|a, b| a.added().total_cmp(&b.added()));
    rows
}

/// What was measured.
pub fn versions(results: &Results) -> String {
    let line = |(name, version): (&String, &String)| format!("- {name}: {version}\n");
    results.versions.iter().map(line).collect()
}

/// What the proxies need without a check.
pub fn baselines(results: &Results) -> String {
    let mut text = String::from("| without any check | instructions per request |\n|---|---:|\n");
    for id in ["none", "none-forged-one", "none-spoofed", "none-forged-all", "none-missing", "haproxy-none"] {
        if let Some(row) = results.row(id, 0) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {} | {} |", row.what, thousands(row.worker));
        }
    }
    text
}

/// Everything beside everything at 1,000 keys.
pub fn comparison(results: &Results) -> String {
    let mut text =
        String::from("| 1,000 keys | instructions added | of the proxy without it |\n|---|---:|---:|\n");
    for row in compared(results) {
        let (name, added) =
            (if is_ours(row) { format!("**{}**", row.what) } else { row.what.clone() }, row.added());
        let server = row
            .server
            .map_or_else(String::new, |server| format!(" ({} of them in the server)", thousands(server)));
        let share = added / row.baseline * 100.0;
        let _ = writeln!(text, "| {name} | {}{server} | {share:+.0} % |", thousands(added));
    }
    text
}

/// Flamegate's states by size of the table.
pub fn states(results: &Results) -> String {
    let mut sizes: Vec<u32> =
        results.instructions.iter().filter(|row| is_ours(row)).map(|row| row.keys).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut text = String::from("| instructions added, keys in the table: |");
    for size in &sizes {
        let _ = write!(text, " {} |", thousands(f64::from(*size)));
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(sizes.len()));
    text.push('\n');
    for id in STATES {
        let Some(named) = results.instructions.iter().find(|row| row.id == id) else { continue };
        let _ = write!(text, "| {} |", named.what);
        for size in &sizes {
            let cell = results.row(id, *size).map_or_else(|| "–".to_owned(), |row| thousands(row.added()));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

/// The targets of issue 6 and whether they are met.
pub fn target(results: &Results) -> String {
    let mut text = String::from("| target | limit | measured | met |\n|---|---:|---:|---|\n");
    let mut line = |what: &str, limit: f64, measured: Option<f64>| {
        let (shown, met) = measured.map_or(("–".to_owned(), "not measured"), |value| {
            (thousands(value), if value <= limit { "yes" } else { "**no**" })
        });
        let _ = writeln!(text, "| {what} | {} | {shown} | {met} |", thousands(limit));
    };
    let added = |id: &str, keys: u32| results.row(id, keys).map(Row::added);
    for (id, limit) in TARGETS {
        let what = results.row(id, KEYS).map_or(id, |row| row.what.as_str());
        line(what, limit, added(id, KEYS));
    }
    for (id, what) in [
        ("headers-plain", "the same for a client that sends none of those headers"),
        ("headers-forged-one", "the same for a client that forges one identity header"),
        ("headers-forged-all", "the same for a client that forges all three"),
    ] {
        line(what, 40_000.0, added(id, KEYS));
    }
    for (denied, what) in [("used-up", "429"), ("random", "401, unknown key"), ("missing", "401, no key")] {
        if let Some(limit) = added("headers-hot", KEYS) {
            line(&format!("{what}: no dearer than accepted with headers"), limit, added(denied, KEYS));
        }
    }
    for id in ["bare-hot", "default-hot"] {
        if let Some(limit) = added(id, KEYS) {
            line(&format!("{id} at 1,000,000 keys: at most 5 % more"), limit * 1.05, added(id, 1_000_000));
        }
    }
    text
}

/// Throughput and latency, side by side.
pub fn ratios(results: &Results) -> String {
    if results.ratios.is_empty() {
        return "Not measured in this run.".to_owned();
    }
    let mut text = String::from(
        "| with it, relative to without | processor time per request | throughput | latency p50 | latency p99 |\n|---|---:|---:|---:|---:|\n",
    );
    let mut rows: Vec<_> = results.ratios.iter().collect();
    rows.sort_by(|a, b| median(&a.cpu).total_cmp(&median(&b.cpu)));
    for row in rows {
        let cells = [&row.cpu, &row.throughput, &row.latency_p50, &row.latency_p99].map(|list| range(list));
        let _ = writeln!(text, "| {} | {} |", row.what, cells.join(" | "));
    }
    text
}

/// Median, smallest and largest.
fn range(sorted: &[f64]) -> String {
    match (sorted.first(), sorted.last()) {
        (Some(first), Some(last)) => format!("{:.2} ({first:.2}–{last:.2})", median(sorted)),
        _ => "–".to_owned(),
    }
}

/// Cold syncs and changes under load.
pub fn sync(results: &Results) -> String {
    let mut text = String::from(
        "| keys | control plane | seconds | JSON bytes per key | heap bytes per key | cache per worker | \
         longest stall: main thread | worker |\n\
         |---:|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in &results.sync {
        let wire = row.wire_bytes_per_key.map_or_else(|| "–".to_owned(), |bytes| format!("{bytes:.0}"));
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {wire} | {:.0} | {:.1} MiB | {:.1} ms | {:.1} ms |",
            thousands(f64::from(row.keys)),
            row.control_plane,
            row.seconds,
            row.heap_bytes_per_key,
            row.cache_bytes_per_worker / 1_048_576.0,
            row.main[1].busy.max,
            row.worker[1].busy.max,
        );
    }
    for row in &results.sync {
        text.push_str(&churn(row));
    }
    text
}

/// Many gateways on one control plane.
pub fn gateways(results: &Results) -> String {
    let Some(seen) = &results.gateways else { return "Not measured.".to_owned() };
    let (known, all) = (seen.known, seen.all_know);
    format!(
        "{} gateways poll one control plane over loopback; {} revocations, one after the other. A gateway has the removal \
         p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms after the call began; all of them have it after p50 {:.1} ms, at most \
         {:.1} ms. That costs the control plane {:.0} µs of processor time per gateway and revocation, the gateway's next \
         poll included, and {:.0} KiB of resident memory per connected gateway.\n",
        thousands(seen.gateways as f64),
        seen.revocations,
        known.p50,
        known.p99,
        known.max,
        all.p50,
        all.max,
        seen.cpu_us,
        seen.resident_bytes_per_gateway / 1024.0
    )
}

/// Mutexes locked per request.
pub fn locks(results: &Results) -> String {
    let mut text = String::from("| 1,000 keys | mutexes locked per request |\n|---|---:|\n");
    for (id, keys) in
        [("none", 0), ("bare-hot", KEYS), ("headers-hot", KEYS), ("default-hot", KEYS), ("bare-exact", KEYS)]
    {
        if let Some(row) = results.row(id, keys) {
            let _ = writeln!(text, "| {} | {:.2} |", row.what, row.locks);
        }
    }
    text
}

fn churn(row: &Outcome) -> String {
    let Some(churn) = &row.churn else { return String::new() };
    let (refused, known) = (churn.refused, churn.acknowledged);
    format!(
        "\n{:.0} changes a second for {:.0} s to {} keys, beside {:.0} requests a second: a revoked key is refused after \
         p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms; acknowledged by the gateway after p50 {:.0} ms, p99 {:.0} ms, at \
         most {:.0} ms.\n",
        churn.changes as f64 / churn.seconds,
        churn.seconds,
        thousands(f64::from(row.keys)),
        churn.requests as f64 / churn.seconds,
        refused.p50,
        refused.p99,
        refused.max,
        known.p50,
        known.p99,
        known.max
    )
}

/// A limit as people write it.
pub fn limit_name(row: &Value) -> String {
    let [requests, window, burst] = [0, 1, 2].map(|index| row["limit"][index].as_f64().unwrap_or(0.0));
    format!("{} in {window:.0} s, burst {}", thousands(requests), thousands(burst))
}

/// Admitted against the ideal, at 1.5 times the limit (the results have 0.5 and 3 times, too).
pub fn limiter(results: &Results) -> String {
    let mut text = String::from(
        "| limit | workers | load | admitted / ideal | above the bucket, in requests | documented bound | host calls per request |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in results.limiter.iter().filter(|row| row["load_tenths"] == 15) {
        let number = |name: &str| row[name].as_f64().unwrap_or(0.0);
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} × | {:.4} | {} | {} | {:.2} |",
            limit_name(row),
            number("workers"),
            number("load_tenths") / 10.0,
            number("admitted") / number("ideal"),
            number("excess").max(0.0),
            number("bound"),
            number("host_calls_per_request")
        );
    }
    text
}
