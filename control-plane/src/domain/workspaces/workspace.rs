//! A stored workspace.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::contract::Limit;
use crate::domain::audit::Target;
use crate::domain::bounds::Bounds;
use crate::domain::limits;

/// A stored workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Row number: order of creation. Zero before it is stored.
    pub seq: i64,
    /// Public name, `ws_…`; what the upstream sees.
    pub id: String,
    /// Short name for people and scripts.
    pub slug: String,
    /// Descriptive name.
    pub name: String,
    /// The limits of its keys that have none of their own.
    pub default_limits: Vec<Limit>,
    /// What an operator allows.
    pub bounds: Bounds,
    /// Its plan, whose limits all its keys share.
    pub plan: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Which keys' records are other ones now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// Those that follow the default limits.
    Followers,
    /// All of them.
    All,
}

impl Workspace {
    pub(crate) fn as_target(&self) -> Target<'_> {
        Target { workspace_seq: Some(self.seq), id: Some(&self.id), name: &self.name }
    }

    /// What the audit log tells of it.
    pub(crate) fn audited(&self) -> Value {
        let texts = |limits: &[Limit]| limits.iter().map(limits::to_text).collect::<Vec<_>>();
        json!({
            "slug": self.slug,
            "default_limits": texts(&self.default_limits),
            "ceiling": self.bounds.ceiling.as_ref().map(limits::to_text),
            "workspace_limits": texts(&self.bounds.workspace_limits),
            "max_active_keys": self.bounds.max_active_keys,
            "plan": self.plan,
        })
    }
}
