//! Figures in other documents are the report's: each that speaks of instructions is named here with the row that it is of.

use std::fs;

use crate::{graph, process::root, report::chart::thousands, results::Results};

/// Documents that quote what was measured.
const DOCUMENTS: [&str; 5] =
    ["README.md", "docs/CONFIGURATION.md", "docs/OPERATIONS.md", "docs/FAQ.md", "docs/SCALE.md"];

/// A figure in a document: the words around it, with `#` in its place.
struct Figure {
    document: &'static str,
    words: &'static str,
    value: Option<f64>,
    /// It is given to the nearest of these.
    nearest: f64,
}

fn figures(results: &Results) -> Vec<Figure> {
    let added = |id: &str| results.row(id, super::KEYS).map(crate::results::Row::added);
    let difference = |one: &str, other: &str| Some(added(one)? - added(other)?);
    let graph = results.graphs.iter().find(|graph| graph.row == "bare-hot");
    let asks = graph.and_then(|graph| graph.calls.get(graph::ASKS)).map(|(_, instructions)| *instructions);
    let ratio = |kind: usize, figure: fn(&crate::gateways::Outcome) -> f64| {
        Some(figure(&results.fleet.get(kind)?.crowd) / figure(&results.fleet.first()?.crowd))
    };
    let figure = |document, words, value, nearest| Figure { document, words, value, nearest };
    let (configuration, operations, scale) = ("docs/CONFIGURATION.md", "docs/OPERATIONS.md", "docs/SCALE.md");
    let largest = results.sync.iter().max_by_key(|row| row.keys);
    vec![
        figure(operations, "| # instructions per accepted request as shipped", added("shipped-hot"), 100.0),
        figure(operations, "# bytes per key in the process", largest.map(|row| row.heap_bytes_per_key), 10.0),
        figure(
            operations,
            "in the process, # MiB of cache",
            largest.map(|row| row.cache_bytes_per_worker / 1_048_576.0),
            1.0,
        ),
        figure(
            configuration,
            "Each value costs a request about # instructions",
            difference("default-hot", "headers-plain"),
            1_000.0,
        ),
        figure(configuration, "each costs Envoy # instructions less", asks, 1_000.0),
        figure(
            configuration,
            "a response that gets them costs #",
            difference("ratelimit-hot", "bare-hot"),
            1_000.0,
        ),
        figure(
            scale,
            "| # KiB |",
            results.gateways.as_ref().map(|seen| seen.resident_bytes_per_gateway / 1024.0),
            1.0,
        ),
        figure(scale, "| # ms on two cores", results.gateways.as_ref().map(|seen| seen.all_know.p50), 1.0),
        figure(scale, "| # µs |", results.gateways.as_ref().map(|seen| seen.cpu_us), 1.0),
        figure(scale, "a: # ×", ratio(1, |crowd| crowd.cpu_us), 0.01),
        figure(scale, "× and # ×; t:", ratio(3, |crowd| crowd.cpu_us), 0.01),
        figure(scale, "t: # ×", ratio(1, |crowd| crowd.all_know.p50), 0.01),
    ]
}

fn shown(value: f64, nearest: f64) -> String {
    let rounded = (value / nearest).round_ties_even() * nearest;
    if nearest < 1.0 { format!("{rounded:.2}") } else { thousands(rounded) }
}

#[test]
fn what_documents_quote_is_what_was_measured() {
    let results = Results::load().expect("results");
    let root = root().expect("the repository");
    for figure in figures(&results) {
        let text = fs::read_to_string(root.join(figure.document)).expect(figure.document);
        // Nothing is asked of a figure that has not been measured yet but that its words are there.
        let (before, after) = figure.words.split_once('#').expect("a figure");
        let words = match figure.value {
            Some(value) => figure.words.replace('#', &shown(value, figure.nearest)),
            None if before.is_empty() => after.to_owned(),
            None => before.to_owned(),
        };
        assert!(text.contains(&words), "{}: it says not {words:?}", figure.document);
    }
}

#[test]
fn no_document_speaks_of_instructions_that_nobody_has_counted() {
    let results = Results::load().expect("results");
    let root = root().expect("the repository");
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).expect(document);
        let quoted = text.matches(" instructions").count();
        let of_this: Vec<_> =
            figures(&results).into_iter().filter(|figure| figure.document == document).collect();
        let named = of_this.iter().filter(|figure| figure.words.contains("# instructions")).count();
        // Those of a key without limits, which docs/adr/0028-answers.md has, and README's on what `make bench` counts.
        let known =
            text.matches("about 2,000 instructions").count() + text.matches("counts instructions").count();
        assert_eq!(quoted, named + known, "{document}: name the figure in report/figures.rs");
    }
}
