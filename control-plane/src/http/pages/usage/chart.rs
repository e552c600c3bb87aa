//! A chart of requests by outcome: stacked bars as an SVG with presentation attributes and classes only, and the same numbers as a
//! table. Pure: from buckets to text. The bars stretch to the width that there is; words and numbers stand beside them in HTML, so
//! that they keep their size on a telephone.

use std::fmt::Write as _;

use askama::Template;

use super::span::Span;
use crate::domain::usage::{Bucket, Minute, Period, Tally, time_of};
use crate::http::pages::view::{Moment, grouped};

/// The chart of a time.
#[derive(Template)]
#[template(path = "usage_chart.html")]
pub(in crate::http::pages) struct Chart {
    /// What it shows, in words.
    label: String,
    /// Which time, and the others that can be chosen.
    span: Span,
    /// False when nobody has counted yet: then there is nothing to draw, which is not nothing.
    counted: bool,
    bars: Vec<Bar>,
    /// Where counting began, when that is within the chart: what is left of it is not known.
    unknown: u64,
    width: u64,
    /// The numbers beside the lines, from the top.
    scale: [String; 3],
    /// The times below.
    axis: Vec<Moment>,
    /// By outcome: class, words, sum.
    legend: Vec<(&'static str, &'static str, String)>,
    /// Lines of the table: those with requests, newest first.
    rows: Vec<Row>,
    /// What was refused for which reason; only reasons that there were.
    reasons: Vec<(&'static str, String)>,
    /// Whether something has passed in shadow.
    in_shadow: bool,
    /// Whether some of those reasons have let pass.
    reasons_let_pass: bool,
}

/// A bucket's bar.
struct Bar {
    /// Shown on hover.
    title: String,
    /// Class, x, y, height.
    parts: Vec<(&'static str, u64, u64, u64)>,
}

/// A bucket's line of the table.
struct Row {
    start: Moment,
    admitted: String,
    shadowed: String,
    limited: String,
    refused: String,
}

/// A bar's width (9, in the template) with the gap behind it.
const STEP: u64 = 12;
const HEIGHT: u64 = 160;
/// Times below the chart.
const TICKS: usize = 4;

/// What is counted of all that there was.
type Count = fn(&Tally) -> u64;

/// The parts of a bar, from the ground: class, words, and what counts as it.
const PARTS: [(&str, &str, Count); 4] = [
    ("admitted", "Admitted", |tally| tally.admitted),
    (SHADOW, "Passed in shadow", Tally::passed_in_shadow),
    ("limited", "Rate limited (429)", Tally::limited),
    ("refused", "Refused (401, 403)", Tally::refused),
];
/// The part that is told only where there is something of it.
const SHADOW: &str = "shadowed";

/// Why requests are refused.
const REASONS: [(&str, Count); 4] = [
    ("not allowed for this request", |tally| tally.forbidden),
    ("expired", |tally| tally.expired),
    ("wrong environment", |tally| tally.environment),
    ("revoked", |tally| tally.revoked),
];

impl Chart {
    /// Of the buckets that were found in the period of a span; `since` is when counting began.
    pub fn new(span: Span, period: &Period, found: &[Bucket], since: Option<Minute>) -> Self {
        let size = span.minutes();
        let count = u64::try_from((period.to - period.from).div_euclid(size)).unwrap_or(0);
        let buckets = group(found, period.from, size, count);
        let most = top(buckets.iter().map(Tally::total).max().unwrap_or(0));
        let sum = Tally::sum(&buckets);
        let start = |place: usize| period.from + size * i64::try_from(place).unwrap_or(0);
        let bars = buckets.iter().enumerate().filter(|(_, tally)| tally.total() > 0);
        let rows = bars.clone().rev().map(|(place, tally)| row(span, start(place), tally));
        // A gateway that was away may post what was before.
        let first = found.iter().filter(|bucket| bucket.tally.total() > 0).map(|bucket| bucket.start).min();
        let known = since.map(|since| first.map_or(since, |first| first.min(since)));
        let unknown = known.map_or(count, |known| {
            u64::try_from((known - period.from).div_euclid(size)).unwrap_or(0).min(count)
        });
        Self {
            label: label(span, &sum),
            span,
            counted: since.is_some(),
            bars: bars.clone().map(|(place, tally)| bar(span, place, start(place), tally, most)).collect(),
            unknown: unknown * STEP,
            width: count * STEP,
            scale: [most, most / 2, 0].map(short),
            axis: axis(span, period, count),
            legend: told(&sum).map(|(class, words, of)| (*class, *words, grouped(of(&sum)))).collect(),
            in_shadow: sum.passed_in_shadow() > 0,
            reasons_let_pass: sum.shadow_refused > 0,
            rows: rows.collect(),
            reasons: reasons(&sum),
        }
    }
}

/// The parts that a chart of these requests has.
fn told(sum: &Tally) -> impl Iterator<Item = &'static (&'static str, &'static str, Count)> {
    let in_shadow = sum.passed_in_shadow() > 0;
    PARTS.iter().filter(move |(class, ..)| in_shadow || *class != SHADOW)
}

/// Buckets of `size` minutes, empty ones too.
fn group(found: &[Bucket], from: Minute, size: i64, count: u64) -> Vec<Tally> {
    let mut groups = vec![Tally::default(); usize::try_from(count).unwrap_or(0)];
    for bucket in found {
        let place = usize::try_from((bucket.start - from).div_euclid(size)).ok();
        if let Some(group) = place.and_then(|place| groups.get_mut(place)) {
            group.add(&bucket.tally);
        }
    }
    groups
}

/// The number at the top of the scale: the next of 2, 4, 10, 20, 40, 100, …, so that its half is whole.
fn top(most: u64) -> u64 {
    let mut decade = 1u64;
    loop {
        for factor in [2, 4, 10] {
            let top = decade.saturating_mul(factor);
            if top >= most || top == u64::MAX {
                return top;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

/// `1,200`, `12k`, `4M`: of a number at the scale, which is round.
fn short(number: u64) -> String {
    match number {
        10_000_000.. => format!("{}M", grouped(number / 1_000_000)),
        10_000.. => format!("{}k", grouped(number / 1_000)),
        _ => grouped(number),
    }
}

fn bar(span: Span, place: usize, start: Minute, tally: &Tally, most: u64) -> Bar {
    let x = u64::try_from(place).unwrap_or(0) * STEP;
    let (mut y, mut parts) = (HEIGHT, Vec::new());
    let mut title = span.words(start);
    for (class, words, of) in PARTS {
        let requests = of(tally);
        if requests > 0 {
            // Whatever there was can be seen, and the bar stays within the chart.
            let height = u128::from(requests) * u128::from(HEIGHT) / u128::from(most.max(1));
            let height = u64::try_from(height).unwrap_or(HEIGHT).clamp(1, y.max(1));
            y = y.saturating_sub(height);
            parts.push((class, x, y, height));
            // Writing to a text cannot fail.
            let _ = write!(title, "\n{words}: {}", grouped(requests));
        }
    }
    Bar { title, parts }
}

fn row(span: Span, start: Minute, tally: &Tally) -> Row {
    let [admitted, shadowed, limited, refused] = PARTS.map(|(_, _, of)| grouped(of(tally)));
    Row { start: span.moment(start), admitted, shadowed, limited, refused }
}

fn axis(span: Span, period: &Period, count: u64) -> Vec<Moment> {
    let last = i64::try_from(count.saturating_sub(1)).unwrap_or(0);
    let place = |tick: usize| last * i64::try_from(tick).unwrap_or(0) / (TICKS as i64 - 1);
    let starts = (0..TICKS).map(|tick| period.from + place(tick) * span.minutes());
    starts.filter_map(time_of).map(|time| span.tick(time)).collect()
}

fn label(span: Span, sum: &Tally) -> String {
    let [admitted, shadowed, limited, refused] = PARTS.map(|(_, _, of)| grouped(of(sum)));
    let shadowed =
        if sum.passed_in_shadow() > 0 { format!("{shadowed} passed in shadow, ") } else { String::new() };
    format!(
        "Requests, {}: {admitted} admitted, {shadowed}{limited} rate limited, {refused} refused",
        span.name()
    )
}

fn reasons(sum: &Tally) -> Vec<(&'static str, String)> {
    let counted = REASONS.iter().map(|(words, of)| (*words, of(sum)));
    counted
        .filter(|(_, requests)| *requests > 0)
        .map(|(words, requests)| (words, grouped(requests)))
        .collect()
}

#[cfg(test)]
mod tests;
