//! The tables of instructions.

use std::fmt::Write as _;

use super::{KEYS, chart::thousands};
use crate::{
    envoy::Flamegate,
    graph::{Graph, HOST_CALLS},
    ratios,
    results::{FLEET, GRAPHS, LIMITER, LIMITS, Results, Row, sync_step},
    rows::{self, BESIDE, GOALS, ROWS, Rig, Way},
    stamp::Part,
};

/// Added to a figure that is of another build than the one that the report names.
const OLD: &str = "°";

/// True for a row of ours.
pub fn is_ours(row: &Row) -> bool {
    rows::is_ours(&row.id)
}

/// A figure, marked when it is of another build.
pub fn figure(results: &Results, row: &Row, value: f64) -> String {
    let mark = if results.is_current(row) { "" } else { OLD };
    format!("{}{mark}", thousands(value))
}

/// The mark of what is measured as a whole, when that was of another build.
pub fn mark(results: &Results, step: &str, part: Part) -> &'static str {
    if results.is_step_current(step, part) { "" } else { OLD }
}

/// Which build the figures are of, and how long measuring took.
pub fn builds(results: &Results) -> String {
    let old = results.instructions.iter().filter(|row| !results.is_current(row)).count();
    let whole = ratios::steps().into_iter().map(|step| (step, Part::Proxy)).chain([
        (sync_step(100_000, true), Part::Both),
        (sync_step(100_000, false), Part::Both),
        (sync_step(1_000_000, false), Part::Both),
        (GRAPHS.to_owned(), Part::Proxy),
        (FLEET.to_owned(), Part::Both),
        (LIMITER.to_owned(), Part::Simulation),
        (LIMITS.to_owned(), Part::Limits),
    ]);
    let old_wholes = whole.filter(|(step, part)| !results.is_step_current(step, *part)).count();
    let minutes = |seconds: f64| format!("{:.0} minutes", (seconds / 60.0).max(1.0));
    let took = |begins: &str| -> f64 {
        let steps = results.done.iter().filter(|(step, _)| step.starts_with(begins));
        steps.map(|(_, done)| done.seconds).sum()
    };
    let mut text = if old + old_wholes == 0 {
        "All figures are of this build.".to_owned()
    } else {
        let all = results.instructions.len();
        format!(
            "{old} of {all} figures of instructions and {old_wholes} of the other measurements are of earlier builds of what takes \
             part in them; in the tables they bear a {OLD}."
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
    let at = |rig: Rig, keys: u32| {
        ROWS.iter()
            .find(|row| row.rig == rig && row.forged.is_empty())
            .and_then(|row| results.row(row.id, keys))
    };
    for way in Way::ALL {
        let Some(base) = at(Rig::Envoy(way), 0) else { continue };
        let what = base.what.strip_prefix("no filter").unwrap_or(&base.what).trim_start_matches(", ");
        let what = if what.is_empty() { "HTTP/1.1 in clear, answered by the route" } else { what };
        let _ = write!(text, "| {what} | {} |", figure(results, base, base.worker));
        for state in [Flamegate::Shipped, Flamegate::ShippedRbac] {
            let row = at(Rig::Flamegate(state, way), KEYS);
            let cell = row.map_or_else(|| "–".to_owned(), |row| figure(results, row, row.added()));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    for row in ROWS.iter().filter(|row| matches!(row.rig, Rig::Guard(_))) {
        if let Some(row) = results.row(row.id, 0) {
            let _ = writeln!(text, "| {} | – | {} | – |", row.what, figure(results, row, row.added()));
        }
    }
    text
}

/// All rows of the comparison at 1,000 keys, the cheapest first.
pub fn compared(results: &Results) -> Vec<&Row> {
    let named = ROWS.iter().filter(|row| row.compared);
    let mut rows: Vec<&Row> =
        named.filter_map(|row| results.row(row.id, KEYS).or_else(|| results.row(row.id, 0))).collect();
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
    let proxies = [Rig::Envoy(Way::Clear), Rig::HaproxyAlone];
    for row in ROWS.iter().filter(|row| proxies.contains(&row.rig)) {
        if let Some(row) = results.row(row.id, 0) {
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
    for series in ROWS.iter().filter(|row| row.rig.is_ours() && row.rig.way() == Way::Clear) {
        let id = series.id;
        let _ = write!(text, "| {} |", series.what);
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
    let mut text =
        String::from("| | goal | what came since may add | measured | met |\n|---|---:|---:|---:|---|\n");
    let mut line = |what: &str, limit: f64, since: &[(&str, f64)], row: Option<&Row>| {
        let most = limit + since.iter().map(|(_, added)| added).sum::<f64>();
        let (shown, met) = row.map_or(("–".to_owned(), "not measured".to_owned()), |row| {
            let value = row.added();
            let missed = || format!("**no**, by {}", thousands(value - most));
            (figure(results, row, value), if value <= most { "yes".to_owned() } else { missed() })
        });
        let since: Vec<String> =
            since.iter().map(|(what, added)| format!("{what} {}", thousands(*added))).collect();
        let since = if since.is_empty() { "–".to_owned() } else { since.join(", ") };
        let _ = writeln!(text, "| {what} | {} | {since} | {shown} | {met} |", thousands(limit));
    };
    for goal in &GOALS {
        let size = if goal.keys == KEYS {
            String::new()
        } else {
            format!(" (at {} keys)", thousands(f64::from(goal.keys)))
        };
        let what = format!("{}{size}", rows::what(goal.row));
        line(&what, goal.asked, goal.since, results.row(goal.row, goal.keys));
    }
    for id in ["bare-hot", "shipped-hot"] {
        if let Some(row) = results.row(id, KEYS) {
            let what = format!("{} at 1,000,000 keys: at most 5 % more", rows::what(id));
            line(&what, row.added() * 1.05, &[], results.row(id, 1_000_000));
        }
    }
    for (id, beside, most) in BESIDE {
        if let Some(row) = results.row(beside, KEYS) {
            let what = format!("{}: at most {most} more than {}", rows::what(id), rows::what(beside));
            line(&what, row.added() + most, &[], results.row(id, KEYS));
        }
    }
    text
}

/// What `bench-check` bounds.
pub fn bounds(results: &Results) -> String {
    let mut text = String::from(
        "| row | reached on a calm machine | since then may add | more on a busy machine | bound | measured |\n\
         |---|---:|---:|---:|---:|---:|\n",
    );
    for goal in &GOALS {
        let (Some(busy), Some(bound)) = (goal.busy, goal.bound()) else { continue };
        let row = results.row(goal.row, goal.keys);
        let measured = row.map_or_else(|| "–".to_owned(), |row| figure(results, row, row.added()));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {measured} |",
            rows::what(goal.row),
            thousands(goal.reached.unwrap_or(goal.asked)),
            thousands(goal.since()),
            thousands(busy),
            thousands(bound)
        );
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

/// Where a request's instructions go, and what would be left if nothing of it were ours.
pub fn graph(results: &Results) -> String {
    if results.graphs.is_empty() {
        return "Not measured yet: `flamegate-bench graph`.".to_owned();
    }
    let old = mark(results, GRAPHS, Part::Proxy);
    let mut text = String::from("| instructions per request |");
    for graph in &results.graphs {
        let _ = write!(text, " {} |", rows::find(&graph.row).map_or(graph.row.as_str(), |row| row.short));
    }
    let _ = write!(text, "\n|---|{}\n", "---:|".repeat(results.graphs.len()));
    let mut line = |what: &str, cell: &dyn Fn(&Graph) -> Option<String>| {
        let cells: Vec<String> =
            results.graphs.iter().map(|graph| cell(graph).unwrap_or_else(|| "–".to_owned())).collect();
        let _ = writeln!(text, "| {what} | {} |", cells.join(" | "));
    };
    let figure = |value: f64| format!("{}{old}", thousands(value));
    line("added, all of it", &|graph| Some(figure(graph.added)));
    for name in HOST_CALLS {
        line(name, &|graph| {
            let (count, instructions) = graph.calls.get(name)?;
            let times = if *count > 1.5 { format!(" ({count:.0} ×)") } else { String::new() };
            Some(format!("{}{times}", figure(*instructions)))
        });
    }
    line("host calls of ticks", &|graph| Some(figure(graph.ticks)));
    line("into the filter's code and back", &|graph| Some(figure(graph.entry)));
    line("the response is made, once the filter has been left", &|graph| graph.response.map(figure));
    line("Envoy around it", &|graph| Some(figure(graph.rest())));
    line("**the filter's own code**", &|graph| Some(figure(graph.own)));
    line("**without the filter's own code**", &|graph| Some(figure(graph.added - graph.own)));
    text
}
