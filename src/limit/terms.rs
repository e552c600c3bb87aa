//! A fleet limit as the control plane knows it.

use crate::contract::record::{Limit, Reach, Scope};

/// Whose limit it is, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Id of the key or of the workspace.
    pub owner: String,
    /// Which of the two.
    pub scope: Scope,
    /// The limit's name.
    pub name: String,
}

impl Terms {
    /// Of a limit of this key or of its workspace; `None` for one that each gateway counts for itself.
    pub fn of(limit: &Limit, key: &str, workspace: &str) -> Option<Self> {
        let owner = if limit.scope == Scope::Key { key } else { workspace };
        (limit.reach == Reach::Fleet).then(|| Self {
            owner: owner.to_owned(),
            scope: limit.scope,
            name: limit.name.clone(),
        })
    }
}
