//! Requests about users before they are checked.

use serde::Deserialize;
use utoipa::ToSchema;

use super::password::Password;
use super::{Role, normal_email};
use crate::error::{Error, Problems};

/// A user to be made, or to join another workspace.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AddUser)]
pub struct UserDraft {
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
}

/// Another role.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetRole)]
pub struct RoleDraft {
    /// Id or slug of the workspace.
    #[schema(required, value_type = String, example = "demo")]
    pub workspace: Option<String>,
    /// `owner`, `member` or `viewer`; `none` takes the user out of the workspace.
    #[schema(required, value_type = String, pattern = "^(owner|member|viewer|none)$", example = "viewer")]
    pub role: Option<String>,
}

/// Another password.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ResetPassword)]
pub struct PasswordDraft {
    /// 12 characters or more. One is generated when it is not given; the answer has it then.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 12, max_length = 256)]
    pub password: Option<Password>,
}

/// A [`UserDraft`] that keeps all rules.
pub(super) struct Wanted {
    pub email: String,
    pub workspace: String,
    pub role: Role,
    pub password: Option<Password>,
}

impl UserDraft {
    pub(super) fn check(self) -> Result<Wanted, Error> {
        let mut problems = Problems::default();
        let email = normal_email(self.email.as_deref().unwrap_or_default());
        if !is_email(&email) {
            problems.add("email", "must be an e-mail address");
        }
        let workspace = self.workspace.unwrap_or_default();
        if workspace.is_empty() {
            problems.add("workspace", "is required");
        }
        let role = self.role.as_deref().and_then(Role::named);
        if role.is_none() {
            problems.add("role", "must be owner, member or viewer");
        }
        if let Some(password) = &self.password {
            password.check(&email, &mut problems);
        }
        problems.check()?;
        let role = role.ok_or_else(|| Error::internal("a draft without problems is not complete"))?;
        Ok(Wanted { email, workspace, role, password: self.password })
    }
}

impl RoleDraft {
    /// The workspace and the role; `None` for none.
    pub(super) fn check(self) -> Result<(String, Option<Role>), Error> {
        let mut problems = Problems::default();
        let workspace = self.workspace.unwrap_or_default();
        if workspace.is_empty() {
            problems.add("workspace", "is required");
        }
        let role = match self.role.as_deref() {
            Some("none") => None,
            name => {
                let role = name.and_then(Role::named);
                if role.is_none() {
                    problems.add("role", "must be owner, member, viewer or none");
                }
                role
            }
        };
        problems.check()?;
        Ok((workspace, role))
    }
}

/// Something before and something after one `@`, nothing invisible: whether it is theirs is the operator's to know.
fn is_email(text: &str) -> bool {
    let visible = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let halves = text.split_once('@');
    visible
        && text.len() <= 254
        && halves
            .is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty() && !domain.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_is() {
        for (text, is) in [
            ("ada@example.com", true),
            ("ada@localhost", true),
            ("ada", false),
            ("@example.com", false),
            ("ada@", false),
            ("a@b@c", false),
            ("a da@example.com", false),
        ] {
            assert_eq!(is_email(text), is, "{text}");
        }
    }
}
