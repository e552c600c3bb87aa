//! People and their roles.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::error::Error;
use crate::domain::users::{NewUser, Role, User};

/// Reading.
#[async_trait]
pub trait ReadUsers: Send {
    /// The user with this id or (lower-case) e-mail address. No address looks like an id.
    async fn find_user(&mut self, id_or_email: &str) -> Result<Option<User>, Error>;

    /// Ids and addresses of all users, or of those alone whose addresses are not plain ASCII.
    async fn user_emails(&mut self, also_plain: bool) -> Result<Vec<(String, String)>, Error>;

    /// The user whom a provider of identities calls so.
    async fn user_of_subject(&mut self, subject: &str) -> Result<Option<User>, Error>;

    /// What a provider of identities calls the user, once they have signed in by it.
    async fn subject_of(&mut self, seq: i64) -> Result<Option<String>, Error>;

    /// The user's password hash.
    async fn password_hash(&mut self, seq: i64) -> Result<String, Error>;

    /// Users in order of creation from behind `after`, of one workspace or all.
    async fn list_users(
        &mut self,
        workspace_seq: Option<i64>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<User>, Error>;

    /// How many owners a workspace has that may sign in.
    async fn count_owners(&mut self, workspace_seq: i64) -> Result<u64, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteUsers: ReadUsers {
    /// Stores a new user.
    async fn insert_user(&mut self, user: &NewUser) -> Result<(), Error>;

    /// Gives the user a role in a workspace, or takes it away.
    async fn set_role(&mut self, user_seq: i64, workspace_seq: i64, role: Option<Role>) -> Result<(), Error>;

    /// Notes which workspace vouches for the user's address; `None` when an operator does.
    async fn set_vouched_by(&mut self, seq: i64, workspace_seq: Option<i64>) -> Result<(), Error>;

    /// Gives the user another password.
    async fn set_password_hash(&mut self, seq: i64, hash: &str) -> Result<(), Error>;

    /// Ties the user to what a provider of identities calls them.
    async fn set_subject(&mut self, seq: i64, subject: &str) -> Result<(), Error>;

    /// Gives the user another stamp: every session of theirs has ended.
    async fn set_stamp(&mut self, seq: i64, stamp: &str) -> Result<(), Error>;

    /// Makes the user an operator, or an ordinary user.
    async fn set_operator(&mut self, seq: i64, is_operator: bool) -> Result<(), Error>;

    /// Locks the user out, or lets them in again.
    async fn set_disabled(&mut self, seq: i64, at: Option<Timestamp>) -> Result<(), Error>;
}
