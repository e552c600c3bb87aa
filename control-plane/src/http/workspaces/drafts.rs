//! What is asked for under `/v1/workspaces`, as it comes.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::limits::LimitDraft;
use crate::domain::workspaces::{WorkspaceDraft, WorkspacePatch};
use crate::http::json::present;
use crate::http::limits::{LimitBody, drafts};

/// A workspace to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateWorkspace)]
pub(super) struct CreateWorkspace {
    /// Descriptive name, 1 to 100 characters.
    #[schema(required, value_type = String, min_length = 1, max_length = 100, example = "Demo")]
    pub name: Option<String>,
    /// 1 to 40 lower-case letters, digits and inner hyphens. Made from the name when it is not given.
    #[serde(default)]
    #[schema(example = "demo", pattern = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
    pub slug: Option<String>,
    /// Limits of keys that have none of their own; the server's default when it is not given, `[]` for none.
    #[serde(default)]
    pub default_limits: Option<Vec<LimitBody>>,
    /// Most that each of its keys may do; none when it is not given.
    #[serde(default)]
    pub ceiling: Option<LimitBody>,
    /// Limits that all its keys share, whatever else they have; those of the server's default when it is not given.
    #[serde(default)]
    pub workspace_limits: Option<Vec<LimitBody>>,
    /// Most active keys; the server's default when it is not given, `null` for as many as one likes.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1_000_000_000, example = 1_000)]
    pub max_active_keys: Option<Option<i64>>,
}

/// Changes of a workspace; what is not given stays. The slug stays for ever, because scripts use it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UpdateWorkspace)]
pub(super) struct UpdateWorkspace {
    /// Another descriptive name.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// Other default limits. Gateways learn of it for every key that follows them.
    #[serde(default)]
    pub default_limits: Option<Vec<LimitBody>>,
    /// Another ceiling; `null` for none. Gateways learn of it for every key.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<LimitBody>)]
    pub ceiling: Option<Option<LimitBody>>,
    /// Other limits that all its keys share. Gateways learn of it for every key.
    #[serde(default)]
    pub workspace_limits: Option<Vec<LimitBody>>,
    /// Another number of active keys, which may be below what there is; `null` for as many as one likes.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1_000_000_000)]
    pub max_active_keys: Option<Option<i64>>,
    /// Name of another plan of workspaces; `null` for none. Gateways learn of it for every key.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub plan: Option<Option<String>>,
}

impl From<CreateWorkspace> for WorkspaceDraft {
    fn from(body: CreateWorkspace) -> Self {
        Self {
            name: body.name,
            slug: body.slug,
            default_limits: body.default_limits.map(drafts),
            ceiling: body.ceiling.map(LimitDraft::from),
            workspace_limits: body.workspace_limits.map(drafts),
            max_active_keys: body.max_active_keys,
        }
    }
}

impl From<UpdateWorkspace> for WorkspacePatch {
    fn from(body: UpdateWorkspace) -> Self {
        Self {
            name: body.name,
            default_limits: body.default_limits.map(drafts),
            ceiling: body.ceiling.map(|limit| limit.map(LimitDraft::from)),
            workspace_limits: body.workspace_limits.map(drafts),
            max_active_keys: body.max_active_keys,
            plan: body.plan,
        }
    }
}
