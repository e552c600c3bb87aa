//! One limit as forms ask for it: how many requests, per how long, how many of them at once.

use super::fields::Fields;
use crate::domain::error::Problems;
use crate::domain::limits::LimitDraft;

/// The limit that a form has. What is no number is told here, everything else by whoever checks the draft: both at `at`.
pub(super) fn limit_of(fields: &Fields, at: &str, problems: &mut Problems) -> LimitDraft {
    let number = |name: &str| fields.text(name).parse::<i64>().ok();
    let burst = number("burst");
    if burst.is_none() && !fields.text("burst").is_empty() {
        problems.add(format!("{at}[0].burst"), "must be a number");
    }
    LimitDraft {
        requests: number("requests"),
        window_seconds: number("window_seconds"),
        burst,
        ..LimitDraft::default()
    }
}
