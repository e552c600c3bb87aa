//! `--limit`, `--burst` and `--no-limits`, which several commands take.

use serde_json::{Value, json};

use crate::domain::limits::LimitDraft;

/// Limits of a key, or default limits of a workspace.
#[derive(clap::Args)]
pub(super) struct LimitArgs {
    /// A limit of each key for itself: 100/60s, 100/1m+20 (burst), search=5/1s (name), 100/60s^fleet (all gateways together; ^fleet-refuse
    /// refuses while nothing counts for all); may be given up to four times
    #[arg(long = "limit", value_name = "LIMIT", value_parser = |text: &str| limit(text, "--no-limits"))]
    limits: Vec<LimitDraft>,
    /// Burst of every --limit that names none
    #[arg(long, requires = "limits", value_name = "REQUESTS")]
    burst: Option<i64>,
    /// No limits at all
    #[arg(long, conflicts_with = "limits")]
    no_limits: bool,
}

/// A limit. Other options take the word `none`; where a flag says it, `instead` is its name.
pub(super) fn limit(text: &str, instead: &str) -> Result<LimitDraft, String> {
    if text == "none" {
        return Err(format!("for no limits at all say {instead}"));
    }
    text.parse().map_err(|error: <LimitDraft as std::str::FromStr>::Err| error.to_string())
}

impl LimitArgs {
    /// The JSON for a request; `None` when nothing was said about limits.
    pub fn to_json(&self) -> Option<Value> {
        if self.no_limits {
            return Some(json!([]));
        }
        if self.limits.is_empty() {
            return None;
        }
        let limits = self.limits.iter().cloned();
        Some(
            limits
                .map(|limit| LimitDraft { burst: limit.burst.or(self.burst), ..limit })
                .map(|l| json!(l))
                .collect(),
        )
    }
}
