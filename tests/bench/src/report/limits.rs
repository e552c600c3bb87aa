//! One limit over several gateways, by each way: tables and charts.

use std::fmt::Write as _;

use super::{
    chart::{self, Bar, thousands},
    tables::{figure, mark},
};
use crate::{
    limits::{
        Event, Outcome, Row,
        load::Dealt,
        streams::{LIMITS as RATES, Rate},
        ways::Way,
    },
    results::{LIMITS, Results},
    stamp::Part,
};

/// The limit of the chart, and at which the engine's calls are counted.
const SHOWN: &Rate = &RATES[2];
/// A load that came near to what was to be sent.
const ALL_OF_IT: f64 = 2.7;
const NONE: &str = "Not measured yet: `make bench`.";

/// That limit's name.
pub fn shown() -> String {
    SHOWN.name()
}

fn header(first: &str, columns: impl Iterator<Item = String>) -> String {
    let columns: Vec<String> = columns.collect();
    format!("| {first} | {} |\n|---|{}\n", columns.join(" | "), "---:|".repeat(columns.len()))
}

fn ways(calm: bool) -> impl Iterator<Item = Way> {
    Way::ALL.into_iter().filter(move |way| if calm { !way.is_for_failures() } else { way.can_lose() })
}

/// What was admitted in calm.
pub fn calm(results: &Results) -> String {
    let Some(seen) = &results.limits else { return NONE.to_owned() };
    let old = mark(results, LIMITS, Part::Limits);
    let mut text = header("admitted, and the most above the bucket", RATES.iter().map(Rate::name));
    for (dealt, how) in [(Dealt::Askew, "askew"), (Dealt::Evenly, "evenly")] {
        for way in ways(true) {
            let cell = |rate: &Rate| {
                seen.row(way, rate, Event::Calm, dealt).map_or_else(|| "–".to_owned(), |row| both(row, old))
            };
            let cells: Vec<String> = RATES.iter().map(cell).collect();
            let _ = writeln!(text, "| {}, {how} | {} |", way.name(), cells.join(" | "));
        }
    }
    text
}

/// What was admitted above the bucket while the engine was in trouble.
pub fn failures(results: &Results) -> String {
    let Some(seen) = &results.limits else { return NONE.to_owned() };
    let old = mark(results, LIMITS, Part::Limits);
    let events = [(Event::Restart, "restarted empty"), (Event::FailOver, "failed over")];
    let columns: Vec<(Event, &Rate, String)> = events
        .into_iter()
        .flat_map(|(event, what)| {
            RATES[..3].iter().map(move |rate| (event, rate, format!("{what}: {}", rate.name())))
        })
        .collect();
    let mut text =
        header("admitted, and the most above the bucket", columns.iter().map(|column| column.2.clone()));
    for way in ways(false) {
        let cell = |(event, rate, _): &(Event, &Rate, String)| {
            seen.row(way, rate, *event, Dealt::Askew).map_or_else(|| "–".to_owned(), |row| both(row, old))
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        let _ = writeln!(text, "| {} | {} |", way.name(), cells.join(" | "));
    }
    text
}

/// What was admitted, the most above the bucket, and how much was sent where that was less than it should have been.
fn both(row: &Row, old: &str) -> String {
    let all = row.offered >= ALL_OF_IT;
    let sent = if all { String::new() } else { format!(" ({:.1} × sent)", row.offered) };
    format!("{:.2}, {}{old}{sent}", row.admitted, above(row))
}

/// Requests above the bucket: none, or how many and how much of it.
fn above(row: &Row) -> String {
    if row.above < 1.0 {
        return "0".to_owned();
    }
    format!("+{} ({:.0} %)", thousands(row.above), row.above / row.burst * 100.0)
}

/// What each way costs.
pub fn costs(results: &Results) -> String {
    let Some(seen) = &results.limits else { return NONE.to_owned() };
    let old = mark(results, LIMITS, Part::Limits);
    let columns =
        ["instructions added, hot", "calls per 1,000 requests", "a cold request, p50", "p99", "refused"];
    let mut text = header("", columns.into_iter().map(str::to_owned));
    for way in ways(true) {
        let none = || "–".to_owned();
        let hot = hot(results, way).map_or_else(none, |(row, added)| figure(results, row, added));
        let calls = seen.row(way, SHOWN, Event::Calm, Dealt::Askew).and_then(|row| row.calls);
        let calls = calls.map_or_else(none, |calls| format!("{}{old}", thousands(calls)));
        let cold = seen.cold.iter().find(|cold| cold.way == way).map_or_else(none, |cold| {
            let (p50, p99, count) = (cold.p50(), cold.p99(), cold.waits.count);
            format!("{p50:.2} ×{old} | {p99:.2} ×{old} | {} of {count}", cold.refused)
        });
        let _ = writeln!(text, "| {} | {hot} | {calls} | {cold} |", way.name());
    }
    text
}

/// The row of a busy key by this way, and what it adds.
fn hot(results: &Results, way: Way) -> Option<(&crate::results::Row, f64)> {
    let (id, keys) = match way {
        Way::Gateway => ("bare-hot", super::KEYS),
        Way::FleetMemory | Way::FleetRedis | Way::FleetRefuse => {
            // Counted in a time of their own: beside each other they are true.
            let (own, fleet) = (
                results.row("gateway-limit-hot", super::KEYS)?,
                results.row("fleet-limit-hot", super::KEYS)?,
            );
            return Some((
                fleet,
                results.row("bare-hot", super::KEYS)?.added() + fleet.added() - own.added(),
            ));
        }
        Way::Redis | Way::Strict => ("rate-limit-redis", 0),
        Way::Cached => ("rate-limit-cached", 0),
        Way::Share => ("local-share", 0),
    };
    results.row(id, keys).map(|row| (row, row.added()))
}

/// The most above the bucket in calm and in trouble.
pub fn above_chart(results: &Results) -> String {
    let seen = results.limits.iter().flat_map(|seen| &seen.rows);
    let bars: Vec<Bar> = seen
        .filter(|row| row.limit == SHOWN.name() && row.dealt == Dealt::Askew)
        .map(|row| {
            let event = match row.event {
                Event::Calm => "calm",
                Event::Restart => "restarted empty",
                Event::FailOver => "failed over",
            };
            Bar { label: format!("{}: {event}", row.way.short()), value: row.above, ours: row.way.is_ours() }
        })
        .collect();
    chart::bars("The most requests above the bucket, 1,000 a second over three gateways", &bars)
}

/// Instructions of a busy key.
pub fn hot_chart(results: &Results) -> String {
    let bars: Vec<Bar> = ways(true)
        .filter_map(|way| {
            let (_, value) = hot(results, way)?;
            Some(Bar { label: way.short().to_owned(), value, ours: way.is_ours() })
        })
        .collect();
    chart::bars("Instructions that a limit adds to an accepted request, hot", &bars)
}

impl Outcome {
    fn row(&self, way: Way, rate: &Rate, event: Event, dealt: Dealt) -> Option<&Row> {
        let is =
            |row: &&Row| (row.way, row.event, row.dealt) == (way, event, dealt) && row.limit == rate.name();
        self.rows.iter().find(is)
    }
}
