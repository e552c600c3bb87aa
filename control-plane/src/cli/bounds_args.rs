//! `--ceiling`, `--workspace-limit` and `--max-active-keys`: what an operator allows a workspace.

use serde_json::{Map, Value, json};

use super::limit_args::limit;
use crate::domain::limits::LimitDraft;

/// The bounds of a workspace. What is not said stays as it is.
#[derive(clap::Args)]
pub(super) struct BoundsArgs {
    /// Most that each of its keys may do, such as 100/60s+20, or none; a key's own limits can only be tighter
    #[arg(long, value_name = "LIMIT", value_parser = or_none::<LimitDraft>)]
    ceiling: Option<OrNone<LimitDraft>>,
    /// A limit that all its keys share, whatever else they have: shared=5000/1h+200; may be given up to four times
    #[arg(long = "workspace-limit", value_name = "LIMIT", value_parser = |text: &str| limit(text, "--no-workspace-limits"))]
    workspace_limits: Vec<LimitDraft>,
    /// No limits that all its keys share
    #[arg(long, conflicts_with = "workspace_limits")]
    no_workspace_limits: bool,
    /// Most active keys, or none for as many as one likes
    #[arg(long, value_name = "NUMBER", value_parser = or_none::<u32>)]
    max_active_keys: Option<OrNone<u32>>,
}

/// A value, or the word `none`.
#[derive(Clone)]
struct OrNone<T>(Option<T>);

impl BoundsArgs {
    /// Adds what was said to the JSON of a request.
    pub fn add_to(&self, body: &mut Map<String, Value>) {
        if let Some(OrNone(ceiling)) = &self.ceiling {
            body.insert("ceiling".to_owned(), json!(ceiling));
        }
        if self.no_workspace_limits || !self.workspace_limits.is_empty() {
            body.insert("workspace_limits".to_owned(), json!(self.workspace_limits));
        }
        if let Some(OrNone(most)) = &self.max_active_keys {
            body.insert("max_active_keys".to_owned(), json!(most));
        }
    }
}

fn or_none<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<OrNone<T>, String> {
    if text == "none" {
        return Ok(OrNone(None));
    }
    text.parse().map(|value| OrNone(Some(value))).map_err(|error: T::Err| error.to_string())
}
