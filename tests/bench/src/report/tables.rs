//! The tables of instructions.

use std::fmt::Write as _;

use super::{KEYS, chart::thousands};
use crate::{
    results::{Results, Row},
    rows,
};

/// Rows that stand in the comparison, besides Flamegate's.
const OTHERS: [&str; 12] = [
    "api-key-auth",
    "api-key-auth-limit",
    "safe-api-key-auth",
    "haproxy",
    "safe-haproxy",
    "empty-filter",
    "lua",
    "safe-lua",
    "ext-authz-http",
    "safe-ext-authz-http",
    "ext-authz-grpc",
    "safe-ext-authz-grpc",
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
const COMPARED: [&str; 8] = [
    "bare-hot",
    "headers-hot",
    "default-hot",
    "shipped-hot",
    "shipped-rbac-hot",
    "missing",
    "random",
    "used-up",
];
/// Added to a figure that is of another build than the one that the report names.
const OLD: &str = "°";
/// The goals of issues 6 and 18: instructions added at 1,000 keys.
const TARGETS: [(&str, f64); 8] = [
    ("bare-hot", 20_500.0),
    ("headers-hot", 39_500.0),
    ("headers-forged-all", 40_000.0),
    ("shipped-hot", 38_000.0),
    ("missing", 26_000.0),
    ("random", 33_000.0),
    ("used-up", 33_500.0),
    ("ratelimit-hot", 37_000.0),
];
/// Where the goal is for a larger table.
const MISS: (&str, u32, f64) = ("bare-scattered", 1_000_000, 50_000.0);

/// True for a row of ours.
pub fn is_ours(row: &Row) -> bool {
    rows::is_ours(&row.id)
}

/// A figure, marked when it is of another build.
fn figure(results: &Results, row: &Row, value: f64) -> String {
    let mark = if results.is_current(row) { "" } else { OLD };
    format!("{}{mark}", thousands(value))
}

/// Which build the figures are of, and how long measuring took.
pub fn builds(results: &Results) -> String {
    let old = results.instructions.iter().filter(|row| !results.is_current(row)).count();
    let minutes = |seconds: f64| format!("{:.0} minutes", (seconds / 60.0).max(1.0));
    let took = |begins: &str| -> f64 {
        let steps = results.done.iter().filter(|(step, _)| step.starts_with(begins));
        steps.map(|(_, done)| done.seconds).sum()
    };
    let mut text = if old == 0 {
        "All figures of instructions are of this build.".to_owned()
    } else {
        let all = results.instructions.len();
        format!(
            "{old} of {all} figures of instructions are of earlier builds; in the tables they bear a {OLD}."
        )
    };
    let _ = write!(
        text,
        " Measuring what is of this build took {}, of which {} were under callgrind.",
        minutes(took("")),
        minutes(took("instructions "))
    );
    text
}

/// The other ways to the gateway and from it.
pub fn ways(results: &Results) -> String {
    let mut text = String::from(
        "| 1,000 keys | no filter | as shipped adds | with the RBAC guard adds |\n|---|---:|---:|---:|\n",
    );
    let direct = ("none", "HTTP/1.1 in clear, answered by the route", ["shipped-hot", "shipped-rbac-hot"]);
    let others = rows::WAYS.iter().map(|way| {
        let [(_, matcher), (_, rbac)] = &way.shipped;
        (way.none.id, way.none.what, [matcher.id, rbac.id])
    });
    for (none, what, shipped) in std::iter::once(direct).chain(others) {
        let Some(base) = results.row(none, 0) else { continue };
        let what = what.strip_prefix("no filter, ").unwrap_or(what);
        let _ = write!(text, "| {what} | {} |", figure(results, base, base.worker));
        for id in shipped {
            let row = results.row(id, KEYS);
            let cell = row.map_or_else(|| "–".to_owned(), |row| figure(results, row, row.added()));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    for (_, guard) in rows::GUARDS {
        if let Some(row) = results.row(guard.id, 0) {
            let _ = writeln!(text, "| {} | – | {} | – |", row.what, figure(results, row, row.added()));
        }
    }
    text
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
            let _ = writeln!(text, "| {} | {} |", row.what, figure(results, row, row.worker));
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
        let _ = writeln!(text, "| {name} | {}{server} | {share:+.0} % |", figure(results, row, added));
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
            let cell = results
                .row(id, *size)
                .map_or_else(|| "–".to_owned(), |row| figure(results, row, row.added()));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

/// The goals and whether they are met.
pub fn target(results: &Results) -> String {
    let mut text = String::from("| at 1,000 keys | goal | measured | met |\n|---|---:|---:|---|\n");
    let mut line = |what: &str, limit: f64, row: Option<&Row>| {
        let (shown, met) = row.map_or(("–".to_owned(), "not measured"), |row| {
            let value = row.added();
            (figure(results, row, value), if value <= limit { "yes" } else { "**no**" })
        });
        let _ = writeln!(text, "| {what} | {} | {shown} | {met} |", thousands(limit));
    };
    for (id, limit) in TARGETS {
        let row = results.row(id, KEYS);
        line(row.map_or(id, |row| row.what.as_str()), limit, row);
    }
    let (id, keys, limit) = MISS;
    line("a cache miss at 1,000,000 keys", limit, results.row(id, keys));
    for id in ["bare-hot", "shipped-hot"] {
        if let Some(row) = results.row(id, KEYS) {
            let what = format!("{id} at 1,000,000 keys: at most 5 % more");
            line(&what, row.added() * 1.05, results.row(id, 1_000_000));
        }
    }
    text
}

/// Mutexes locked per request.
pub fn locks(results: &Results) -> String {
    let mut text = String::from("| 1,000 keys | mutexes locked per request |\n|---|---:|\n");
    for (id, keys) in
        [("none", 0), ("bare-hot", KEYS), ("headers-hot", KEYS), ("shipped-hot", KEYS), ("bare-exact", KEYS)]
    {
        if let Some(row) = results.row(id, keys) {
            let _ = writeln!(text, "| {} | {:.2} |", row.what, row.locks);
        }
    }
    text
}
