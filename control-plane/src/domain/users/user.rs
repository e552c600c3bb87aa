//! A stored user, and one to be stored.
//!
//! A user's `stamp` changes whenever every session of theirs must end: another password, locked out, signed out
//! everywhere. A session carries the stamp of its beginning and is over when the two differ.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::audit::{Actor, Via};
use crate::domain::names;

/// A stored user. The password's hash is not in here.
#[derive(Clone, Debug)]
pub struct User {
    /// Row number: order of creation.
    pub seq: i64,
    /// Public name, `usr_…`.
    pub id: String,
    /// What they sign in with, lower-case.
    pub email: String,
    /// Sessions that carry another one have ended.
    pub stamp: String,
    /// True for a person who sees all gateways and what they enforce.
    pub is_operator: bool,
    /// Their workspaces, oldest first.
    pub memberships: Vec<Membership>,
    /// When they were made.
    pub created_at: Timestamp,
    /// Since when they may not sign in.
    pub disabled_at: Option<Timestamp>,
    /// The workspace whose owner has invited them and vouches for their address; `None` when an operator does.
    pub vouched_by: Option<i64>,
    /// Whether their password alone does not let them in.
    pub has_second_factor: bool,
}

/// A user's place in a workspace.
#[derive(Clone, Debug, Deserialize)]
pub struct Membership {
    /// The workspace's row.
    pub workspace_seq: i64,
    /// The workspace's id.
    pub workspace: String,
    /// The workspace's slug.
    pub slug: String,
    /// The workspace's name.
    pub name: String,
    /// As what.
    pub role: Role,
}

/// What a user may do in a workspace. Each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See keys and gateways.
    Viewer,
    /// Make, rename, rotate and revoke keys.
    Member,
    /// See the audit log.
    Owner,
}

/// A user to be stored.
#[derive(Clone)]
pub struct NewUser {
    /// `usr_…`.
    pub id: String,
    /// Lower-case.
    pub email: String,
    /// argon2id, PHC string.
    pub password_hash: String,
    /// See [`User::stamp`].
    pub stamp: String,
    /// When the user was made.
    pub created_at: Timestamp,
}

impl Role {
    /// Name in JSON and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Owner => "owner",
        }
    }

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Viewer => "Viewer",
            Self::Member => "Member",
            Self::Owner => "Owner",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Member, Self::Owner].into_iter().find(|role| role.as_str() == name)
    }
}

impl User {
    /// Their place in the workspace with this slug.
    pub fn membership(&self, slug: &str) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.slug == slug)
    }
}

impl User {
    /// The user doing something in a page.
    pub fn as_actor(&self, address: Option<IpAddr>) -> Actor {
        Actor {
            user_id: Some(self.id.clone()),
            name: self.email.clone(),
            ..Actor::admin_token(Via::Page, address)
        }
    }
}

/// E-mail addresses are compared without regard to case, and composed (NFC).
pub(crate) fn normal_email(text: &str) -> String {
    names::composed(&text.trim().to_lowercase())
}
