//! The frame around a page for a signed-in user.

use super::view::Assets;
use crate::domain::users::{Membership, Role, User};

/// The part of the product that a page belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Gateways,
    Audit,
    Settings,
    ApiKeys,
    Members,
    Account,
    Tokens,
    Plans,
    Shadow,
    /// A page of none of these.
    Elsewhere,
}

/// Whoever has signed in, as far as a frame shows them.
pub(super) trait Person {
    /// Who they are.
    fn user(&self) -> &User;
    /// The token of their forms.
    fn csrf(&self) -> &str;
}

/// The frame of a page for a signed-in user.
pub(super) struct Chrome {
    pub assets: Assets,
    /// The page's name, and the window's.
    pub title: String,
    pub window: String,
    section: Section,
    pub email: String,
    pub csrf: String,
    /// The workspace that the page belongs to, or one to go back to.
    pub here: Option<Membership>,
    /// The user's other workspaces.
    pub others: Vec<Membership>,
    /// Whether the user runs the installation.
    pub is_operator: bool,
}

impl Chrome {
    /// Around a page of a workspace, or of the user.
    pub fn new(title: &str, section: Section, person: &impl Person, here: Option<&Membership>) -> Self {
        let User { email, memberships, .. } = person.user();
        let here = here.or(memberships.first()).cloned();
        let other =
            |one: &&Membership| here.as_ref().is_none_or(|here| one.workspace_seq != here.workspace_seq);
        let others = memberships.iter().filter(other).cloned().collect();
        let (title, window) = (title.to_owned(), title.to_owned());
        let (email, csrf) = (email.clone(), person.csrf().to_owned());
        let is_operator = person.user().is_operator;
        Self { assets: Assets::new(), title, window, section, email, csrf, here, others, is_operator }
    }

    /// The same with another title for the window: the page's mistakes are to be heard first.
    pub fn titled(mut self, window: &str) -> Self {
        self.window = window.to_owned();
        self
    }

    /// The workspace's part of a path.
    pub fn slug(&self) -> &str {
        self.here.as_ref().map(|here| here.slug.as_str()).unwrap_or_default()
    }

    /// ` aria-current` of a link in the sidebar.
    pub fn is(&self, section: &str) -> bool {
        match self.section {
            Section::Overview => section == "overview",
            Section::Gateways => section == "gateways",
            Section::Audit => section == "audit",
            Section::Settings => section == "settings" || section == "general",
            Section::ApiKeys => section == "settings" || section == "api-keys",
            Section::Members => section == "settings" || section == "members",
            Section::Account => section == "account",
            Section::Tokens => section == "tokens",
            Section::Plans => section == "plans",
            Section::Shadow => section == "shadow",
            Section::Elsewhere => false,
        }
    }

    /// Whether the page is one of the installation.
    pub fn is_installation(&self) -> bool {
        matches!(self.section, Section::Gateways | Section::Plans | Section::Shadow | Section::Tokens)
    }

    /// The role in words.
    pub fn role(&self) -> &'static str {
        self.here.as_ref().map_or("", |here| here.role.words())
    }

    /// The rest of the path of the same section in another workspace.
    pub const fn same_section(&self) -> &'static str {
        match self.section {
            Section::Gateways => "/gateways",
            Section::Settings => "/settings",
            Section::ApiKeys => "/settings/api-keys",
            Section::Members => "/settings/members",
            // Not everybody sees the audit log everywhere.
            Section::Overview
            | Section::Audit
            | Section::Account
            | Section::Tokens
            | Section::Plans
            | Section::Shadow
            | Section::Elsewhere => "",
        }
    }

    /// Whether the user may see the audit log.
    pub fn sees_audit(&self) -> bool {
        self.here.as_ref().is_some_and(|here| here.role >= Role::Owner)
    }
}
