//! Requests about users before they are checked.

use super::password::Password;
use super::user::{Role, normal_email};
use crate::domain::error::{Error, Problems};
use crate::domain::names;

/// A user to be made, or to join another workspace.
#[derive(Clone, Debug, Default)]
pub struct UserDraft {
    /// What they sign in with.
    pub email: Option<String>,
    /// Id or slug of the workspace.
    pub workspace: Option<String>,
    /// `owner`, `member` or `viewer`.
    pub role: Option<String>,
    /// 12 characters or more. One is generated when it is not given; the answer has it then.
    pub password: Option<Password>,
    /// True for a person who sees all gateways and what they enforce, not only how many there are. A user who is there
    /// already stays as they are when it is not given.
    pub operator: Option<bool>,
}

/// Changes of a user; what is not given stays.
#[derive(Clone, Debug, Default)]
pub struct UserPatch {
    /// Whether the user sees all gateways and what they enforce.
    pub operator: Option<bool>,
}

/// Another role.
#[derive(Clone, Debug, Default)]
pub struct RoleDraft {
    /// Id or slug of the workspace.
    pub workspace: Option<String>,
    /// `owner`, `member` or `viewer`; `none` takes the user out of the workspace.
    pub role: Option<String>,
}

/// Another password.
#[derive(Clone, Debug, Default)]
pub struct PasswordDraft {
    /// 12 characters or more. One is generated when it is not given; the answer has it then.
    pub password: Option<Password>,
}

/// A [`UserDraft`] that keeps all rules.
pub(crate) struct Wanted {
    pub email: String,
    pub workspace: String,
    pub role: Role,
    pub password: Option<Password>,
    pub operator: Option<bool>,
}

impl UserDraft {
    pub(crate) fn check(self) -> Result<Wanted, Error> {
        let mut problems = Problems::default();
        let email = check_email(self.email.as_deref().unwrap_or_default(), &mut problems);
        let workspace = self.workspace.unwrap_or_default();
        if workspace.is_empty() {
            problems.add("workspace", "is required");
        }
        let role = self.role.as_deref().and_then(Role::named);
        if role.is_none() {
            problems.add("role", "must be owner, member or viewer");
        }
        if let Some(password) = &self.password {
            password.check(email.as_deref().unwrap_or_default(), &mut problems);
        }
        problems.check()?;
        let (Some(email), Some(role)) = (email, role) else {
            return Err(Error::internal("a draft without problems is not complete"));
        };
        Ok(Wanted { email, workspace, role, password: self.password, operator: self.operator })
    }
}

impl RoleDraft {
    /// The workspace and the role; `None` for none.
    pub(crate) fn check(self) -> Result<(String, Option<Role>), Error> {
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

/// An e-mail address as it is kept.
pub(crate) fn check_email(text: &str, problems: &mut Problems) -> Option<String> {
    let email = normal_email(text);
    let problem =
        names::hidden(&email).or_else(|| (!is_email(&email)).then(|| "must be an e-mail address".to_owned()));
    match problem {
        Some(problem) => {
            problems.add("email", problem);
            None
        }
        None => Some(email),
    }
}

/// Something before and something after one `@`, no blanks ([`names::hidden`] has the rest): whether it is theirs is the operator's to know.
fn is_email(text: &str) -> bool {
    let visible = text.chars().all(|c| !c.is_whitespace());
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
