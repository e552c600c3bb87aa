//! Signing in and out. Unknown users, wrong passwords and locked-out users get the same answer after the same work.

use std::net::IpAddr;
use std::time::Duration;

use super::manage::note;
use super::password::{MAX_BYTES, Password};
use super::{User, Users, normal_email};
use crate::audit::{Action, Actor, Via};
use crate::error::Error;
use crate::store::sqlite;

/// What became of an attempt to sign in.
#[derive(Debug)]
pub enum SignIn {
    /// The user.
    Welcome(User),
    /// Unknown user, wrong password or locked out: which of them is nobody's business.
    Refused,
    /// Too many attempts; the next one counts after this time.
    TooMany(Duration),
}

impl Users {
    /// Checks a password that came from this address.
    pub async fn sign_in(
        &self,
        email: &str,
        password: Password,
        from: Option<IpAddr>,
    ) -> Result<SignIn, Error> {
        let email = normal_email(email);
        if let Err(wait) = self.throttle.admit(&email, from) {
            return Ok(SignIn::TooMany(wait));
        }
        if password.reveal().len() > MAX_BYTES {
            return Ok(SignIn::Refused);
        }
        let mut connection = self.store.read().await?;
        let user = sqlite::users::find(&mut connection, &email).await?;
        let user = user.filter(|user| user.email == email && user.disabled_at.is_none());
        let hash = match &user {
            Some(user) => Some(sqlite::users::password_hash(&mut connection, user.seq).await?),
            None => None,
        };
        drop(connection);
        if !self.passwords.verify(password, hash).await? {
            return Ok(SignIn::Refused);
        }
        let Some(user) = user else { return Ok(SignIn::Refused) };
        self.throttle.forgive(&email, from);
        self.note_session(&user, Action::SignedIn, from).await?;
        Ok(SignIn::Welcome(user))
    }

    /// Writes that a user signed out.
    pub async fn signed_out(&self, user: &User, from: Option<IpAddr>) -> Result<(), Error> {
        self.note_session(user, Action::SignedOut, from).await
    }

    async fn note_session(&self, user: &User, action: Action, address: Option<IpAddr>) -> Result<(), Error> {
        let (now, user) = (self.clock.now(), user.clone());
        let by = user.as_actor(address);
        self.store.write(move |tx| Box::pin(async move { note(tx, &by, now, action, &user).await })).await?;
        Ok(())
    }
}

impl User {
    /// The user doing something in a page.
    pub fn as_actor(&self, address: Option<IpAddr>) -> Actor {
        Actor { user_id: Some(self.id.clone()), name: self.email.clone(), via: Via::Page, address }
    }
}
