//! A plan: limits and restrictions that many keys have by its name, so that a change of them is one message whatever the number of keys.
//!
//! There are few of them, so they travel together: a page that has any has all of them. One that nobody refers to any more may stay where it
//! is until the next one is changed.

use serde::{Deserialize, Serialize};

use super::record::{Limit, MAX_LIMITS, Scope, is_name};
use super::restrict::Restrict;

/// Most plans of an installation.
pub const MAX_PLANS: usize = 100;

/// What stands before the name of a plan's limit where limits are told apart: no limit of a key or a workspace begins with it.
const LIMIT: &str = "plan:";

/// A named set of limits and restrictions; of one scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The revision of its last change.
    pub version: u64,
    /// All of one scope.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// See [`KeyRecord::restrict`](super::record::KeyRecord::restrict).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restrict: Option<Restrict>,
}

/// The name by which a plan's limit is counted and told to clients.
pub fn limit_name(own: &str) -> String {
    format!("{LIMIT}{own}")
}

/// True for the name of a limit, of a plan or not, as [`limit_name`] makes it.
pub fn is_limit_name(text: &str) -> bool {
    is_name(text.strip_prefix(LIMIT).unwrap_or(text))
}

impl Plan {
    /// Checks what the types do not. A plan is a key's or a workspace's: its limits are of one scope.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if self.limits.len() > MAX_LIMITS {
            found.push(("limits".to_owned(), format!("at most {MAX_LIMITS} limits")));
        }
        let of = |scope: Scope| self.limits.iter().any(|limit| limit.scope == scope);
        if of(Scope::Key) && of(Scope::Workspace) {
            found.push(("limits".to_owned(), "of two scopes".to_owned()));
        }
        for (index, limit) in self.limits.iter().enumerate() {
            let below = limit.problems().into_iter();
            found.extend(below.map(|(path, why)| (format!("limits[{index}].{path}"), why)));
            let same = |other: &Limit| other.name == limit.name;
            if self.limits.iter().take(index).any(same) {
                found.push((format!("limits[{index}].name"), "two limits have this name".to_owned()));
            }
        }
        found.extend(self.restrict.iter().flat_map(Restrict::problems));
        found
    }
}
