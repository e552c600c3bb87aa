//! People: who may use the pages of which workspace, and as what. Made by an operator (`/v1/users`, `users add`), never
//! by signing up.
//!
//! A user's `stamp` changes whenever every session of theirs must end: another password, locked out, signed out
//! everywhere. A session carries the stamp of its beginning and is over when the two differ.

mod draft;
mod manage;
pub mod password;
mod sign_in;
pub mod throttle;

use jiff::Timestamp;
use serde::Deserialize;

pub use self::draft::{PasswordDraft, RoleDraft, UserDraft};
pub use self::manage::Added;
use self::password::Passwords;
pub use self::sign_in::SignIn;
use self::throttle::Throttle;
use crate::clock::Clock;
use crate::error::Error;
use crate::store::{Store, Tx, sqlite};

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
    /// Their workspaces, oldest first.
    pub memberships: Vec<Membership>,
    /// When they were made.
    pub created_at: Timestamp,
    /// Since when they may not sign in.
    pub disabled_at: Option<Timestamp>,
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

/// The service.
#[derive(Clone)]
pub struct Users {
    store: Store,
    clock: Clock,
    passwords: Passwords,
    throttle: Throttle,
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

impl Users {
    /// The service over a database. Fails when there is no randomness.
    pub fn new(store: Store, clock: Clock) -> Result<Self, Error> {
        Ok(Self { store, passwords: Passwords::new()?, throttle: Throttle::new(clock.clone()), clock })
    }

    /// One user, by id or e-mail address.
    pub async fn find(&self, id_or_email: &str) -> Result<User, Error> {
        existing(&mut *self.store.read().await?, id_or_email).await
    }

    /// The user of a session that carries this stamp; `None` when it is over.
    pub async fn of_session(&self, id: &str, stamp: &str) -> Result<Option<User>, Error> {
        let user = sqlite::users::find(&mut *self.store.read().await?, id).await?;
        Ok(user.filter(|user| user.stamp == stamp && user.disabled_at.is_none()))
    }

    /// Users, oldest first, and where the next page begins.
    pub async fn list(
        &self,
        workspace_seq: Option<i64>,
        after: i64,
        limit: u32,
    ) -> Result<(Vec<User>, Option<i64>), Error> {
        let mut connection = self.store.read().await?;
        let mut found =
            sqlite::users::list(&mut connection, workspace_seq, after, limit.saturating_add(1)).await?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|user| user.seq);
        Ok((found, next))
    }
}

/// E-mail addresses are compared without regard to case.
pub(crate) fn normal_email(text: &str) -> String {
    text.trim().to_lowercase()
}

async fn existing(tx: &mut Tx, id_or_email: &str) -> Result<User, Error> {
    // Ids have upper-case letters, addresses are stored in lower case.
    if let Some(user) = sqlite::users::find(tx, id_or_email).await? {
        return Ok(user);
    }
    let email = normal_email(id_or_email);
    sqlite::users::find(tx, &email).await?.ok_or(Error::NotFound("user"))
}
