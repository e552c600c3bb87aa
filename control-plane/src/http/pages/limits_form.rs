//! One limit as forms ask for it: how many requests, per how long, how many of them at once.

use super::fields::Fields;
use crate::contract::{Limit, MAX_REQUESTS, Reach, WhenUnreachable};
use crate::domain::error::Problems;
use crate::domain::limits::LimitDraft;

/// The field that says which gateways count together: `gateway`, `fleet`, or `fleet-refuse`.
pub(super) const REACH: &str = "reach";

/// What that field says of a limit.
pub(super) const fn reach_of(limit: &Limit) -> &'static str {
    match (limit.reach, limit.when_unreachable) {
        (Reach::Gateway, _) => "gateway",
        (Reach::Fleet, WhenUnreachable::Gateway) => "fleet",
        (Reach::Fleet, WhenUnreachable::Refuse) => "fleet-refuse",
    }
}

/// The limit that a form has. What is no number, or a burst beyond all bounds, is told here, whatever is wrong beside it; everything else by whoever
/// checks the draft: both at `at`.
pub(super) fn limit_of(fields: &Fields, at: &str, problems: &mut Problems) -> LimitDraft {
    limit_of_row(fields, "", &format!("{at}[0]"), problems)
}

/// The same of a form with several, the names of whose fields end in `suffix`.
pub(super) fn limit_of_row(fields: &Fields, suffix: &str, at: &str, problems: &mut Problems) -> LimitDraft {
    let text = |name: &str| fields.text(&format!("{name}{suffix}")).to_owned();
    let number = |name: &str| text(name).parse::<i64>().ok();
    let burst = number("burst");
    if burst.is_none() && !text("burst").is_empty() {
        problems.add(format!("{at}.burst"), "must be a number");
    }
    if burst.is_some_and(|burst| burst > i64::from(MAX_REQUESTS)) {
        problems.add(format!("{at}.burst"), "too large");
    }
    let (reach, when_unreachable) = match text(REACH).as_str() {
        "fleet" => (Some("fleet"), None),
        "fleet-refuse" => (Some("fleet"), Some("refuse")),
        _ => (None, None),
    };
    LimitDraft {
        requests: number("requests"),
        window_seconds: number("window_seconds"),
        burst,
        reach: reach.map(str::to_owned),
        when_unreachable: when_unreachable.map(str::to_owned),
        ..LimitDraft::default()
    }
}
