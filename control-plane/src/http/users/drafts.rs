//! What is asked for under `/v1/users`, as it comes.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::users::password::Password;
use crate::domain::users::{PasswordDraft, RoleDraft, UserDraft, UserPatch};

/// A user to be made, or to join another workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AddUser)]
pub(super) struct AddUser {
    /// What they sign in with.
    #[schema(required, value_type = String, example = "ada@example.com", max_length = 254)]
    pub email: Option<String>,
    /// Id or slug of the workspace.
    #[schema(required, value_type = String, example = "demo")]
    pub workspace: Option<String>,
    /// `owner`, `member` or `viewer`.
    #[schema(required, value_type = String, pattern = "^(owner|member|viewer)$", example = "member")]
    pub role: Option<String>,
    /// 12 characters or more. One is generated when it is not given; the answer has it then.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 12, max_length = 256)]
    pub password: Option<Password>,
    /// True for a person who sees all gateways and what they enforce, not only how many there are. A user who is there
    /// already stays as they are when it is not given.
    #[serde(default)]
    pub operator: Option<bool>,
}

/// Changes of a user; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UpdateUser)]
pub(super) struct UpdateUser {
    /// Whether the user sees all gateways and what they enforce.
    #[serde(default)]
    pub operator: Option<bool>,
}

/// Another role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetRole)]
pub(super) struct SetRole {
    /// Id or slug of the workspace.
    #[schema(required, value_type = String, example = "demo")]
    pub workspace: Option<String>,
    /// `owner`, `member` or `viewer`; `none` takes the user out of the workspace.
    #[schema(required, value_type = String, pattern = "^(owner|member|viewer|none)$", example = "viewer")]
    pub role: Option<String>,
}

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ResetPassword)]
pub(super) struct ResetPassword {
    /// 12 characters or more. One is generated when it is not given; the answer has it then.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 12, max_length = 256)]
    pub password: Option<Password>,
}

impl From<AddUser> for UserDraft {
    fn from(body: AddUser) -> Self {
        Self {
            email: body.email,
            workspace: body.workspace,
            role: body.role,
            password: body.password,
            operator: body.operator,
        }
    }
}

impl From<UpdateUser> for UserPatch {
    fn from(body: UpdateUser) -> Self {
        Self { operator: body.operator }
    }
}

impl From<SetRole> for RoleDraft {
    fn from(body: SetRole) -> Self {
        Self { workspace: body.workspace, role: body.role }
    }
}

impl From<ResetPassword> for PasswordDraft {
    fn from(body: ResetPassword) -> Self {
        Self { password: body.password }
    }
}
