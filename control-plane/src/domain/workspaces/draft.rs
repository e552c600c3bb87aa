//! Requests for workspaces before they are checked, and what becomes of a workspace by them.

use super::workspace::Workspace;
use crate::contract::{Limit, Scope};
use crate::domain::bounds::{self, Bounds};
use crate::domain::error::{Error, Problems};
use crate::domain::limits::{self, LimitDraft};
use crate::domain::names;

/// A workspace to be made.
#[derive(Clone, Debug, Default)]
pub struct WorkspaceDraft {
    /// Descriptive name, 1 to 100 characters.
    pub name: Option<String>,
    /// 1 to 40 lower-case letters, digits and inner hyphens. Made from the name when it is not given.
    pub slug: Option<String>,
    /// Limits of keys that have none of their own; the server's default when it is not given, `[]` for none.
    pub default_limits: Option<Vec<LimitDraft>>,
    /// Most that each of its keys may do; none when it is not given.
    pub ceiling: Option<LimitDraft>,
    /// Limits that all its keys share, whatever else they have; those of the server's default when it is not given.
    pub workspace_limits: Option<Vec<LimitDraft>>,
    /// Most active keys; the server's default when it is not given, `null` for as many as one likes.
    pub max_active_keys: Option<Option<i64>>,
}

/// Changes of a workspace; what is not given stays. The slug stays for ever, because scripts use it.
#[derive(Clone, Debug, Default)]
pub struct WorkspacePatch {
    /// Another descriptive name.
    pub name: Option<String>,
    /// Other default limits. Gateways learn of it for every key that follows them.
    pub default_limits: Option<Vec<LimitDraft>>,
    /// Another ceiling; `null` for none. Gateways learn of it for every key.
    pub ceiling: Option<Option<LimitDraft>>,
    /// Other limits that all its keys share. Gateways learn of it for every key.
    pub workspace_limits: Option<Vec<LimitDraft>>,
    /// Another number of active keys, which may be below what there is; `null` for as many as one likes.
    pub max_active_keys: Option<Option<i64>>,
    /// Another plan; `null` for none. Gateways learn of it for every key.
    pub plan: Option<Option<String>>,
}

/// What a new workspace gets that names nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Default limits; those of scope `workspace` become limits of the workspace.
    pub limits: Vec<Limit>,
    /// Most active keys.
    pub max_active_keys: Option<u32>,
}

/// A [`WorkspacePatch`] whose parts are right, each by itself.
pub(crate) struct Changes {
    pub name: Option<String>,
    pub default_limits: Option<Vec<Limit>>,
    ceiling: Option<Option<Limit>>,
    workspace_limits: Option<Vec<Limit>>,
    max_active_keys: Option<Option<u32>>,
    plan: Option<Option<String>>,
}

impl WorkspacePatch {
    /// Checks each part by itself.
    pub(crate) fn check(self, problems: &mut Problems) -> Changes {
        let limits = |drafts: Vec<LimitDraft>, problems: &mut Problems| {
            limits::check(&drafts, "default_limits", problems)
        };
        Changes {
            name: self.name.and_then(|name| names::check("name", &name, problems)),
            default_limits: self.default_limits.map(|drafts| limits(drafts, problems)),
            ceiling: self.ceiling.map(|draft| draft.and_then(|draft| bounds::check_ceiling(draft, problems))),
            workspace_limits: self
                .workspace_limits
                .map(|drafts| bounds::check_workspace_limits(&drafts, problems)),
            max_active_keys: self.max_active_keys.map(|most| bounds::check_max_active_keys(most, problems)),
            plan: self.plan,
        }
    }
}

impl Changes {
    /// The bounds after the changes.
    pub fn bounds(&self, before: &Bounds) -> Bounds {
        let before = before.clone();
        Bounds {
            ceiling: self.ceiling.clone().unwrap_or(before.ceiling),
            workspace_limits: self.workspace_limits.clone().unwrap_or(before.workspace_limits),
            max_active_keys: self.max_active_keys.unwrap_or(before.max_active_keys),
        }
    }

    /// The workspace after the changes, unless its own parts contradict each other then.
    pub fn apply(self, before: &Workspace) -> Result<Workspace, Error> {
        let mut problems = Problems::default();
        let bounds = self.bounds(&before.bounds);
        // A name or a quota changes no record, so it may be given to a workspace whose limits do not fit (see migration 0004).
        let is_of_limits =
            self.default_limits.is_some() || self.ceiling.is_some() || self.workspace_limits.is_some();
        let mut default_limits = self.default_limits.unwrap_or_else(|| before.default_limits.clone());
        if is_of_limits {
            default_limits = bounds.fit_default(default_limits, "default_limits", &mut problems);
        }
        problems.check()?;
        let name = self.name.unwrap_or_else(|| before.name.clone());
        let plan = self.plan.unwrap_or_else(|| before.plan.clone());
        Ok(Workspace { name, default_limits, bounds, plan, ..before.clone() })
    }
}

impl Defaults {
    /// Bounds of a workspace that names none.
    pub(crate) fn bounds(&self) -> Bounds {
        let workspace_limits =
            self.limits.iter().filter(|limit| limit.scope == Scope::Workspace).cloned().collect();
        Bounds { ceiling: None, workspace_limits, max_active_keys: self.max_active_keys }
    }

    /// Limits of keys in a workspace that names none.
    pub(crate) fn of_keys(&self) -> Vec<Limit> {
        self.limits.iter().filter(|limit| limit.scope == Scope::Key).cloned().collect()
    }
}
