//! People: who may use the pages of which workspace, and as what. Made by an operator (`/v1/users`, `users add`), never
//! by signing up.
//!
//! A user's `stamp` changes whenever every session of theirs must end: another password, locked out, signed out
//! everywhere. A session carries the stamp of its beginning and is over when the two differ.

use std::time::Duration;

use super::password::Passwords;
use crate::domain::error::Error;
use crate::domain::lists;
use crate::domain::users::{User, normal_email};
use crate::service::clock::Clock;
use crate::service::throttle::Throttle;
use crate::store::{Store, View};

/// The service.
#[derive(Clone)]
pub struct Users {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) passwords: Passwords,
    pub(super) throttle: Throttle,
    /// How long a session lasts at most.
    pub(super) longest_session: Duration,
}

impl Users {
    /// The service over a database. Fails when there is no randomness.
    pub fn new(store: Store, clock: Clock, longest_session: Duration) -> Result<Self, Error> {
        let throttle = Throttle::over(&store, clock.clone());
        Ok(Self { store, passwords: Passwords::new()?, throttle, clock, longest_session })
    }

    /// Who has tried to sign in.
    pub fn throttle(&self) -> Throttle {
        self.throttle.clone()
    }

    /// The same service, reading by the readers of another store.
    pub fn over(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// One user, by id or e-mail address.
    pub async fn find(&self, id_or_email: &str) -> Result<User, Error> {
        existing(&mut *self.store.read().await?, id_or_email).await
    }

    /// The user of a session that carries this stamp; `None` when it is over.
    pub async fn of_session(&self, id: &str, stamp: &str) -> Result<Option<User>, Error> {
        let user = self.store.read().await?.find_user(id).await?;
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
        let found = connection.list_users(workspace_seq, after, limit.saturating_add(1)).await?;
        Ok(lists::part(found, limit, |user| user.seq))
    }
}

/// The user with this address, also one whose address was kept as it was typed, from before addresses were composed. As typed comes
/// first: of two from before that compose to one, each is then found by its own.
pub(super) async fn of_email(tx: &mut View, typed: &str) -> Result<Option<User>, Error> {
    for email in [typed.trim().to_lowercase(), normal_email(typed)] {
        let found = tx.find_user(&email).await?;
        if let Some(user) = found.filter(|user| user.email == email) {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

/// The user with this id or address.
pub(super) async fn existing(tx: &mut View, id_or_email: &str) -> Result<User, Error> {
    // Ids have upper-case letters, addresses are stored in lower case.
    if let Some(user) = tx.find_user(id_or_email).await? {
        return Ok(user);
    }
    of_email(tx, id_or_email).await?.ok_or(Error::NotFound("user"))
}
