//! The model of many workers around one mutex, as a table and a chart.

use std::fmt::Write as _;

use super::{
    KEYS,
    chart::{self, Line},
};
use crate::{
    contention::{Cost, HELD, OBVIOUS_ADDED, OBVIOUS_LOCKS, speed_up},
    results::Results,
};

/// Numbers of workers in the table.
const WORKERS: [u32; 5] = [1, 4, 16, 32, 64];

/// (What, its cost) of each design that the results can feed.
fn designs(results: &Results) -> Vec<(String, Cost)> {
    let Some(none) = results.row("none", 0) else { return Vec::new() };
    let mut designs: Vec<(String, Cost)> = HELD
        .into_iter()
        .map(|held| {
            let cost = Cost { total: none.worker + OBVIOUS_ADDED, held: OBVIOUS_LOCKS * held };
            (format!("obvious, {held:.0} held"), cost)
        })
        .collect();
    for (id, what) in
        [("bare-exact", "Flamegate, small exact limit"), ("bare-hot", "Flamegate, steady state")]
    {
        if let Some(row) = results.row(id, KEYS) {
            let locks = (row.locks - none.locks).max(0.0);
            designs.push((what.to_owned(), Cost { total: row.worker, held: locks * HELD[1] }));
        }
    }
    designs
}

/// Speed-up by design and number of workers.
pub fn table(results: &Results) -> String {
    let mut text = String::from("| speed-up with workers: |");
    for workers in WORKERS {
        let _ = write!(text, " {workers} |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(WORKERS.len()));
    text.push('\n');
    for (what, cost) in designs(results) {
        let _ = write!(text, "| {what} |");
        for workers in WORKERS {
            let _ = write!(text, " {:.1} |", speed_up(cost, workers));
        }
        text.push('\n');
    }
    text
}

/// The same as curves.
pub fn chart(results: &Results) -> String {
    let lines: Vec<Line> = designs(results)
        .into_iter()
        .map(|(label, cost)| {
            let points = (1..=64).map(|workers| (f64::from(workers), speed_up(cost, workers))).collect();
            Line { label, points }
        })
        .collect();
    let ticks = [(1.0, "1 worker"), (16.0, "16"), (32.0, "32"), (48.0, "48"), (64.0, "64")];
    chart::lines("Speed-up with more workers, modelled", &ticks, Some((0.0, 70.0)), &lines)
}
