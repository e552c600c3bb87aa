//! The tables of times, memory and limits.

use std::fmt::Write as _;

use serde_json::Value;

use super::{chart::thousands, tables::mark};
use crate::{
    keysync::Outcome,
    measure::median,
    posting,
    probe::Waits,
    results::{FLEET, GATEWAYS, LIMITER, Results, STAND_IN, ratio_step, sync_step},
    stamp::Part,
};

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
        let old = mark(results, &ratio_step(&row.id), Part::Proxy);
        let _ = writeln!(text, "| {}{old} | {} |", row.what, cells.join(" | "));
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
            "| {}{} | {} | {:.1} | {wire} | {:.0} | {:.1} MiB | {:.1} ms | {:.1} ms |",
            thousands(f64::from(row.keys)),
            mark(results, &sync_step(row.keys, row.control_plane != STAND_IN), Part::Both),
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

/// A figure of the largest table that was synced, to the nearest whole.
pub fn of_largest(results: &Results, figure: fn(&Outcome) -> f64) -> String {
    let largest = results.sync.iter().max_by_key(|row| row.keys);
    largest.map_or_else(|| "–".to_owned(), |row| format!("{:.0}", figure(row)))
}

/// Many gateways on one control plane.
pub fn gateways(results: &Results) -> String {
    let Some(seen) = &results.gateways else { return "Not measured.".to_owned() };
    let (known, all) = (seen.known, seen.all_know);
    format!(
        "{}{} gateways poll one control plane over loopback; {} revocations, one after the other. A gateway has the removal \
         p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms after the call began; all of them have it after p50 {:.1} ms, at most \
         {:.1} ms. That costs the control plane {:.0} µs of processor time per gateway and revocation, the gateway's next \
         poll included, and {:.0} KiB of resident memory per connected gateway.{}\n",
        mark(results, GATEWAYS, Part::Both),
        thousands(seen.gateways as f64),
        seen.revocations,
        known.p50,
        known.p99,
        known.max,
        all.p50,
        all.max,
        seen.cpu_us,
        seen.resident_bytes_per_gateway / 1024.0,
        seen.posting.as_ref().map(posting).unwrap_or_default()
    )
}

/// What posts beside them do to revocations.
fn posting(seen: &posting::Outcome) -> String {
    format!(
        " While they post {:.0} times a second what {} keys were used for, in the same run, all of them have it {:.2} × as late at the median \
         and {:.2} × at most.",
        seen.posts_per_second, seen.keys_in_a_post, seen.later[0], seen.later[1]
    )
}

/// Several control planes beside one: times relative to one on SQLite.
pub fn fleet(results: &Results) -> String {
    let Some(one) = results.fleet.first() else { return "Not measured yet: `make bench-fleet`.".to_owned() };
    let mut text = String::from(
        "| control planes | refused p50, p99, max | receipt p50, p99, max | all gateways know p50, max | processor time per gateway | writing transactions per revocation | creates | after a death, max |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in &results.fleet {
        let ratio = |now: f64, then: f64| format!("{:.2} ×", now / then);
        let three = |now: &Waits, then: &Waits| {
            format!(
                "{}, {}, {}",
                ratio(now.p50, then.p50),
                ratio(now.p99, then.p99),
                ratio(now.max, then.max)
            )
        };
        let (all, base) = (row.crowd.all_know, one.crowd.all_know);
        let writes = row.writes.map_or_else(|| "–".to_owned(), |writes| format!("{writes:.0}"));
        let death = row.after_death.map_or_else(|| "–".to_owned(), |waits| format!("{:.0} ms", waits.max));
        let _ = writeln!(
            text,
            "| {}{} | {} | {} | {}, {} | {} | {writes} | {} | {death} |",
            row.what,
            mark(results, FLEET, Part::Both),
            three(&row.refused, &one.refused),
            three(&row.receipt, &one.receipt),
            ratio(all.p50, base.p50),
            ratio(all.max, base.max),
            ratio(row.crowd.cpu_us, one.crowd.cpu_us),
            ratio(row.creates_per_second, one.creates_per_second),
        );
    }
    for row in &results.fleet {
        if let Some(seen) = &row.crowd.posting {
            let _ = write!(text, "\n{}:{}\n", row.what, posting(seen));
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
            "| {}{} | {} | {:.1} × | {:.4} | {} | {} | {:.2} |",
            limit_name(row),
            mark(results, LIMITER, Part::Simulation),
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
