//! `flamegate-bench report`: `docs/PERFORMANCE.md` and its charts from the committed results. The words are in `report.md`
//! beside this program; `{{name}}` stands for a table or a number.

mod chart;
mod contention;
#[cfg(test)]
mod figures;
mod limits;
mod tables;
mod times;

use std::fs;

use anyhow::{Result, bail, ensure};

use crate::{
    all,
    process::root,
    results::Results,
    rows::{self, USUAL_KEYS},
};

use chart::{Bar, Line};

/// The text without its numbers.
const TEMPLATE: &str = include_str!("../report.md");
/// The size of table at which things are compared.
pub const KEYS: u32 = USUAL_KEYS;

/// Writes report and charts. Figures that are not of what lies in `dist/` now are marked.
pub fn write() -> Result<()> {
    let mut results = Results::load()?;
    all::note_versions(&mut results)?;
    results.save_to(&Results::path()?)?;
    let docs = root()?.join("docs");
    fs::create_dir_all(docs.join("images"))?;
    for (name, text) in render(&results)? {
        fs::write(docs.join(name), text)?;
    }
    println!("wrote docs/PERFORMANCE.md and six charts");
    Ok(())
}

/// The files below `docs/`.
fn render(results: &Results) -> Result<[(&'static str, String); 7]> {
    ensure!(!results.instructions.is_empty(), "no results yet: run `make bench`");
    let mut text = TEMPLATE.to_owned();
    let parts = [
        ("versions", tables::versions(results)),
        ("builds", tables::builds(results)),
        ("ways", tables::ways(results)),
        ("baselines", tables::baselines(results)),
        ("comparison", tables::comparison(results)),
        ("states", tables::states(results)),
        ("target", tables::target(results)),
        ("bounds", tables::bounds(results)),
        ("graph", tables::graph(results)),
        ("ratios", times::ratios(results)),
        ("sync", times::sync(results)),
        ("gateways", times::gateways(results)),
        ("fleet", times::fleet(results)),
        ("locks", tables::locks(results)),
        ("contention", contention::table(results)),
        ("limiter", times::limiter(results)),
        ("limits calm", limits::calm(results)),
        ("limits failures", limits::failures(results)),
        ("limits shown", limits::shown()),
        ("limits costs", limits::costs(results)),
        ("million", times::of_largest(results, |row| row.seconds)),
        ("heap", times::of_largest(results, |row| (row.heap_bytes_per_key / 10.0).round() * 10.0)),
        ("cache", times::of_largest(results, |row| row.cache_bytes_per_worker / 1_048_576.0)),
    ];
    for (name, part) in parts {
        text = text.replace(&format!("{{{{{name}}}}}"), part.trim_end());
    }
    // Figures in the text, to the nearest hundred.
    for row in results.instructions.iter().filter(|row| row.keys == KEYS || row.keys == 0) {
        let figure = chart::thousands((row.added() / 100.0).round() * 100.0);
        text = text.replace(&format!("{{{{added {}}}}}", row.id), &figure);
    }
    if let Some((_, rest)) = text.split_once("{{") {
        bail!("report.md names an unknown part: {}", rest.lines().next().unwrap_or_default());
    }
    Ok([
        ("PERFORMANCE.md", text),
        ("images/added-instructions.svg", comparison_chart(results)),
        ("images/keys.svg", keys_chart(results)),
        ("images/limiter.svg", limiter_chart(results)),
        ("images/contention.svg", contention::chart(results)),
        ("images/limits-above.svg", limits::above_chart(results)),
        ("images/limits-hot.svg", limits::hot_chart(results)),
    ])
}

fn comparison_chart(results: &Results) -> String {
    let bars: Vec<Bar> = tables::compared(results)
        .into_iter()
        .map(|row| Bar { label: short(&row.id), value: row.added(), ours: tables::is_ours(row) })
        .collect();
    chart::bars("Instructions added to a request, 1,000 keys", &bars)
}

fn keys_chart(results: &Results) -> String {
    let lines: Vec<Line> = ["bare-hot", "headers-hot", "shipped-hot", "random", "used-up", "bare-scattered"]
        .into_iter()
        .map(|id| {
            let mut rows: Vec<_> = results.instructions.iter().filter(|row| row.id == id).collect();
            rows.sort_by_key(|row| row.keys);
            let points = rows.iter().map(|row| (f64::from(row.keys).log10(), row.added())).collect();
            Line { label: short(id), points }
        })
        .collect();
    let ticks = [(0.0, "1"), (3.0, "1,000"), (5.0, "100,000"), (6.0, "1,000,000")];
    chart::lines("Instructions added to a request, by keys in the table", &ticks, None, &lines)
}

fn limiter_chart(results: &Results) -> String {
    let mut lines: Vec<Line> = Vec::new();
    for row in results.limiter.iter().filter(|row| row["load_tenths"] == 15) {
        let label = times::limit_name(row);
        let workers = row["workers"].as_f64().unwrap_or(1.0).log2();
        let share = row["admitted"].as_f64().unwrap_or(0.0) / row["ideal"].as_f64().unwrap_or(1.0) * 100.0;
        match lines.iter_mut().find(|line| line.label == label) {
            Some(line) => line.points.push((workers, share)),
            None => lines.push(Line { label, points: vec![(workers, share)] }),
        }
    }
    let ticks = [(0.0, "1 worker"), (1.0, "2"), (3.0, "8"), (6.0, "64")];
    chart::lines(
        "Admitted, in % of one ideal token bucket, at 1.5 times the limit",
        &ticks,
        Some((97.0, 103.0)),
        &lines,
    )
}

/// A row's name in a chart.
fn short(id: &str) -> String {
    rows::find(id).map_or(id, |row| row.short).to_owned()
}

#[cfg(test)]
mod tests {
    //! What is committed belongs together.

    use super::*;

    #[test]
    fn the_committed_report_is_of_the_committed_words_and_results() {
        let docs = root().expect("the repository").join("docs");
        for (name, text) in render(&Results::load().expect("results")).expect("a report") {
            let committed = fs::read_to_string(docs.join(name)).expect(name);
            assert!(committed == text, "docs/{name}: run `flamegate-bench report`");
        }
    }
}
