//! A bound on the log: no line of the code, ours or a library's, is written more often than a few times at once and then once
//! a second. What clients can cause, hostile ones cause as often as they like. How many lines were held back is told afterwards.
//!
//! Left out are answers to `/v1`, which need an admin token and are bounded by its limit, and what an operator asked to see for
//! a while (`debug` and `trace`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// The filter. Clones share what they have seen.
#[derive(Clone, Default)]
pub struct LogBound {
    lines: Arc<Mutex<HashMap<Identifier, Line>>>,
}

/// A line of the code that writes to the log.
struct Line {
    place: String,
    /// When it would be back at rest (GCRA).
    rest: Instant,
    held_back: u64,
}

/// As often at once, and the time for another one after that.
const BURST: u32 = 10;
const EVERY: Duration = Duration::from_secs(1);
/// Where answers are logged.
const ANSWERS: &str = "flamegate_control::http::layers";

impl LogBound {
    /// Says how many lines were held back since the last time.
    pub fn report(&self) {
        let mut held_back = Vec::new();
        for line in self.lock().values_mut() {
            if line.held_back > 0 {
                held_back.push((line.place.clone(), std::mem::take(&mut line.held_back)));
            }
        }
        for (place, lines) in held_back {
            tracing::warn!(place, lines, "so many lines more were not written");
        }
    }

    /// Whether a line may be written now.
    fn admits(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        // What reports about the others is bounded by their number.
        if *metadata.level() > Level::INFO || [ANSWERS, module_path!()].contains(&metadata.target()) {
            return true;
        }
        let mut lines = self.lock();
        let line = lines.entry(metadata.callsite()).or_insert_with(|| Line {
            place: format!("{} line {}", metadata.target(), metadata.line().unwrap_or_default()),
            rest: now,
            held_back: 0,
        });
        let rest = line.rest.max(now) + EVERY;
        if rest.saturating_duration_since(now) > EVERY * BURST {
            line.held_back += 1;
            return false;
        }
        line.rest = rest;
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identifier, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Filter<S> for LogBound {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    /// Takes nothing away from what another filter says about levels.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.admits(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    //! That libraries' lines are bounded too is shown in `tests/strangers.rs`.

    use super::*;

    #[test]
    fn a_line_comes_ten_times_at_once_and_then_once_a_second() {
        use tracing::Callsite as _;
        let line = tracing::callsite! {
            name: "a line", kind: tracing::metadata::Kind::EVENT, target: "somewhere", level: Level::WARN, fields: message
        };
        let (bound, start) = (LogBound::default(), Instant::now());
        let written = |at: Duration, times: u32| {
            (0..times).filter(|_| bound.admits(line.metadata(), start + at)).count()
        };
        assert_eq!(written(Duration::ZERO, 1_000), 10);
        assert_eq!(written(Duration::from_secs(1), 1_000), 1);
        assert_eq!(written(Duration::from_secs(4), 1_000), 3);
        assert_eq!(bound.lock().values().map(|line| line.held_back).sum::<u64>(), 990 + 999 + 997);
    }
}
