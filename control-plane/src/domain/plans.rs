//! Plans: named sets of limits and restrictions that an operator makes and many keys, or workspaces, have by their name.
//!
//! A key's plan takes the place of the workspace's default limits; its limits count for each key. A workspace's plan counts for all its keys
//! together. The ceiling and the workspace's own limits apply beside both, so no plan loosens what an operator allows a workspace.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::audit::Target;
use super::credentials::{ID_PART, is_id_part};
use super::error::{Error, Problems};
use super::keys::RestrictDraft;
use super::keys::restrict::in_words;
use super::limits::{self, LimitDraft};
use crate::contract::{self, Limit, Restrict, Scope};

/// A plan as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name, which stays.
    pub name: String,
    /// Who shares its limits: each key for itself, or all keys of a workspace together.
    pub scope: Scope,
    /// Its limits, all of that scope.
    pub limits: Vec<Limit>,
    /// What its keys may be used for; `None` for everything.
    pub restrict: Option<Restrict>,
    /// Of its last change.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How many have a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanUses {
    /// Keys that are not revoked.
    pub keys: u64,
    /// Workspaces.
    pub workspaces: u64,
}

/// A plan to be made.
#[derive(Clone, Debug, Default)]
pub struct PlanDraft {
    /// 1 to 64 letters, digits, `_`, `-` or `.`.
    pub name: Option<String>,
    /// `key` (the default) or `workspace`.
    pub scope: Option<String>,
    /// Its limits; none when they are not given.
    pub limits: Option<Vec<LimitDraft>>,
    /// What its keys may be used for; everything, when it is not given.
    pub restrict: Option<RestrictDraft>,
}

/// Changes of a plan; what is not given stays.
#[derive(Clone, Debug, Default)]
pub struct PlanPatch {
    /// Other limits.
    pub limits: Option<Vec<LimitDraft>>,
    /// Other restrictions, where a list that is not given stays; `null` for none.
    pub restrict: Option<Option<RestrictDraft>>,
    /// The revision of the plan that is to be changed; whatever it is, when it is not given.
    pub seen: Option<u64>,
}

impl PlanDraft {
    /// The plan, of no revision yet, or everything that is wrong.
    pub(crate) fn check(self, now: Timestamp) -> Result<Plan, Error> {
        let mut problems = Problems::default();
        let name = self.name.unwrap_or_default();
        if !is_id_part(&name) {
            problems.add("name", ID_PART);
        }
        let scope = match self.scope.as_deref() {
            None | Some("key") => Scope::Key,
            Some("workspace") => Scope::Workspace,
            Some(_) => {
                problems.add("scope", "must be key or workspace");
                Scope::Key
            }
        };
        let limits = check_limits(self.limits.unwrap_or_default(), scope, &mut problems);
        let restrict = self.restrict.and_then(|draft| {
            draft.check(&mut problems);
            draft.over(None)
        });
        problems.check()?;
        Ok(Plan { name, scope, limits, restrict, revision: 0, created_at: now })
    }
}

impl PlanPatch {
    /// The plan after the changes.
    pub(crate) fn apply(self, before: &Plan) -> Result<Plan, Error> {
        let mut problems = Problems::default();
        let limits = self.limits.map(|drafts| check_limits(drafts, before.scope, &mut problems));
        if let Some(Some(draft)) = &self.restrict {
            draft.check(&mut problems);
        }
        problems.check()?;
        let restrict = match self.restrict {
            None => before.restrict.clone(),
            Some(draft) => draft.and_then(|draft| draft.over(before.restrict.as_ref())),
        };
        Ok(Plan { limits: limits.unwrap_or_else(|| before.limits.clone()), restrict, ..before.clone() })
    }
}

/// Limits of the plan's scope, which need not be said.
fn check_limits(drafts: Vec<LimitDraft>, scope: Scope, problems: &mut Problems) -> Vec<Limit> {
    let word = limits::scope_name(scope);
    let mut scoped = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        if draft.scope.as_deref().is_some_and(|given| given != word) {
            problems.add(
                format!("limits[{index}].scope"),
                format!("must be {word}, as the plan's, or not given"),
            );
        }
        scoped.push(LimitDraft { scope: Some(word.to_owned()), ..draft });
    }
    limits::check(&scoped, "limits", problems)
}

impl Plan {
    /// As gateways get it.
    pub(crate) fn for_gateways(&self) -> contract::Plan {
        contract::Plan {
            version: self.revision,
            limits: self.limits.clone(),
            restrict: self.restrict.clone(),
        }
    }

    /// The plan as what something is done to.
    pub(crate) fn as_target(&self) -> Target<'_> {
        Target { workspace_seq: None, id: Some(&self.name), name: &self.name }
    }

    /// What the audit log tells of it.
    pub(crate) fn audited(&self) -> Value {
        let limits: Vec<_> = self.limits.iter().map(limits::to_text).collect();
        json!({
            "scope": limits::scope_name(self.scope),
            "limits": limits,
            "restrictions": self.restrict.as_ref().map(in_words),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(scope: Option<&str>) -> LimitDraft {
        LimitDraft {
            requests: Some(1),
            window_seconds: Some(1),
            scope: scope.map(str::to_owned),
            ..LimitDraft::default()
        }
    }

    #[test]
    fn the_limits_of_a_plan_are_of_its_scope() {
        let draft = |name: &str, scope: &str, limits| PlanDraft {
            name: Some(name.to_owned()),
            scope: Some(scope.to_owned()),
            limits: Some(limits),
            restrict: None,
        };
        let plan = draft("gold", "workspace", vec![limit(None)]).check(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(plan.limits[0].scope, Scope::Workspace);
        for (draft, problem) in [
            (draft("gold", "key", vec![limit(Some("workspace"))]), "limits[0].scope: must be key"),
            (draft("a b", "key", vec![]), "name: 1 to 64"),
            (draft("..", "key", vec![]), "name: 1 to 64"),
            (draft("gold", "fleet", vec![]), "scope: must be key or workspace"),
            (draft("gold", "key", vec![limit(None), limit(None)]), "limits[1].name"),
        ] {
            let error = draft.check(Timestamp::UNIX_EPOCH).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
