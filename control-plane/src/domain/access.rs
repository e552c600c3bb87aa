//! What a token of an operator is for, and what a request needs.

use super::users::Role;

/// What a token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of `/v1`.
    Everything,
    /// One workspace.
    Workspace(Place),
}

/// A workspace, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The workspace's row.
    pub workspace_seq: i64,
    /// The workspace's id.
    pub workspace: String,
    /// The workspace's slug.
    pub slug: String,
    /// As what.
    pub role: Role,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// All of `/v1`.
    Operator,
    /// At least this role, in the one workspace that it is about.
    Role(Role),
}

impl Need {
    /// Its name in the OpenAPI document.
    pub fn named(name: &str) -> Option<Self> {
        if name == "operator" { Some(Self::Operator) } else { Role::named(name).map(Self::Role) }
    }

    /// Whether a token for this may send the request. In which workspace is another question.
    pub fn is_met_by(self, scope: &Scope) -> bool {
        match (self, scope) {
            (_, Scope::Everything) => true,
            (Self::Operator, Scope::Workspace(_)) => false,
            (Self::Role(least), Scope::Workspace(place)) => place.role >= least,
        }
    }
}

impl Scope {
    /// The workspace, when it is for one.
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::Everything => None,
            Self::Workspace(place) => Some(place),
        }
    }
}

impl Place {
    /// Whether a text that names a workspace, by id or slug, names this one.
    pub fn is_named(&self, id_or_slug: &str) -> bool {
        id_or_slug == self.workspace || id_or_slug == self.slug
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_opens_what_lesser_ones_open_and_never_what_is_the_operators() {
        let scope = |role| {
            let (workspace, slug) = ("ws_1".to_owned(), "demo".to_owned());
            Scope::Workspace(Place { workspace_seq: 1, workspace, slug, role })
        };
        let needs = ["viewer", "member", "owner", "operator"].map(|name| Need::named(name).unwrap());
        for (scope, opened) in [
            (scope(Role::Viewer), 1),
            (scope(Role::Member), 2),
            (scope(Role::Owner), 3),
            (Scope::Everything, 4),
        ] {
            let met = needs.iter().take_while(|need| need.is_met_by(&scope)).count();
            assert_eq!((met, needs.iter().filter(|need| need.is_met_by(&scope)).count()), (opened, opened));
        }
        assert_eq!(Need::named("admin"), None);
    }
}
