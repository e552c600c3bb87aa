//! Cells of a list of keys: when a key was last used, and a line of its last 30 days.

use std::fmt::Write as _;

use askama::Template;
use jiff::Timestamp;

use crate::domain::keys::{Key, Status};
use crate::domain::usage::{Lines, Tally};
use crate::http::pages::view::{Moment, grouped};

/// When a key was last used; of one that has ended also when somebody last came with it.
#[derive(Template)]
#[template(
    source = r#"<span class="used">{% if let Some(moment) = used %}{{ moment|safe }}{% else if never %}<span class="muted">Never</span>{% else %}<span class="muted">No data yet</span>{% endif %}{% if let Some(moment) = refused %}<span class="refused">refused {{ moment|safe }}</span>{% endif %}</span>"#,
    ext = "html"
)]
pub(in crate::http::pages) struct LastUsed {
    used: Option<Moment>,
    never: bool,
    refused: Option<Moment>,
}

/// The requests of a key on each of its last 30 days. Nothing where there is nothing to draw.
#[derive(Template)]
#[template(
    source = r#"{% if let Some(label) = label %}<svg class="spark" viewBox="0 0 90 16" width="90" height="16" role="img" aria-label="{{ label }}">{% if !admitted.is_empty() %}<path class="admitted" d="{{ admitted }}"/>{% endif %}{% if !others.is_empty() %}<path class="others" d="{{ others }}"/>{% endif %}</svg>{% endif %}"#,
    ext = "html"
)]
pub(in crate::http::pages) struct Line {
    label: Option<String>,
    /// What has passed, from the ground.
    admitted: String,
    /// What was not, on top of that.
    others: String,
}

/// Height of the tallest day; a day's width is 3, and 1 of it stays empty.
const HEIGHT: u64 = 16;

impl LastUsed {
    /// Of a key.
    pub fn new(lines: &Lines, key: &Key, now: Timestamp) -> Self {
        let ended = key.status(now) != Status::Active;
        Self {
            used: key.uses.last_used_at.map(|at| Moment::used(at, now)),
            never: lines.is_counted(),
            refused: key.uses.last_refused_at.filter(|_| ended).map(|at| Moment::used(at, now)),
        }
    }
}

impl Line {
    /// Of a key.
    pub fn new(lines: &Lines, key: &Key) -> Self {
        let days = lines.of(key.seq);
        let counted = days.iter().flatten();
        let total: u64 = counted.clone().map(Tally::total).fold(0, u64::saturating_add);
        let most = counted.map(Tally::total).max().unwrap_or(0);
        let mut line = Self { label: None, admitted: String::new(), others: String::new() };
        if total == 0 {
            return line;
        }
        line.label = Some(format!("{} requests in 30 days", grouped(total)));
        for (place, day) in days.iter().enumerate() {
            let Some(day) = day.filter(|day| day.total() > 0) else { continue };
            // Whatever there was can be seen.
            let whole = height(day.total(), most).max(1);
            // What has passed in shadow was refused to nobody.
            let passed = day.admitted.saturating_add(day.passed_in_shadow());
            let admitted = if passed == 0 { 0 } else { height(passed, most).clamp(1, whole) };
            bar(&mut line.admitted, place, HEIGHT, admitted);
            bar(&mut line.others, place, HEIGHT - admitted, whole - admitted);
        }
        line
    }
}

fn height(requests: u64, most: u64) -> u64 {
    u64::try_from(u128::from(requests) * u128::from(HEIGHT) / u128::from(most.max(1))).unwrap_or(HEIGHT)
}

fn bar(path: &mut String, place: usize, bottom: u64, height: u64) {
    if height > 0 {
        // Writing to a text cannot fail.
        let _ = write!(path, "M{} {bottom}v-{height}h2v{height}z", place * 3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::{Bucket, Step};

    #[test]
    fn a_bar_is_as_high_as_its_share_and_never_unseen() {
        let mut path = String::new();
        bar(&mut path, 2, HEIGHT, height(50, 100));
        assert_eq!(path, "M6 16v-8h2v8z");
        assert_eq!((height(1, 1_000_000), height(u64::MAX, u64::MAX), height(0, 0)), (0, 16, 0));
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let period = Lines::period(29_000_000);
        let tally = Tally { admitted: 1, rate_limited: 999, ..Tally::default() };
        let found = vec![(1, Bucket { start: Step::Day.start(29_000_000), tally })];
        let lines = Lines::new(found, &period, Some(0));
        let days = lines.of(1);
        assert_eq!(days.last().copied().flatten(), Some(tally));
        assert!(lines.of(2).iter().flatten().all(|day| day.total() == 0));
    }
}
