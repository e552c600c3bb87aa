//! Signing in and out. Unknown users, wrong passwords and locked-out users get the same answer after the same work.

use std::net::IpAddr;
use std::time::Duration;

use super::manage::{is_current, note};
use super::password::{Looks, Whose};
use super::service::{Users, of_email};
use crate::domain::audit::Action;
use crate::domain::error::Error;
use crate::domain::users::password::{MAX_BYTES, Password};
use crate::domain::users::{User, normal_email};

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
        typed: &str,
        password: Password,
        from: Option<IpAddr>,
    ) -> Result<SignIn, Error> {
        let email = normal_email(typed);
        let is_long = password.reveal().len() > MAX_BYTES;
        let looks = Looks::at(password);
        if let Err(wait) = self.throttle.admit(&email, from, looks.number()) {
            return Ok(SignIn::TooMany(wait));
        }
        if is_long {
            return Ok(SignIn::Refused);
        }
        let mut connection = self.store.read().await?;
        let user = of_email(&mut *connection, typed).await?.filter(|user| user.disabled_at.is_none());
        let hash = match &user {
            Some(user) => Some(connection.password_hash(user.seq).await?),
            None => None,
        };
        drop(connection);
        if !self.fits(looks, (Whose::Strangers, hash), &email, from).await? {
            return Ok(SignIn::Refused);
        }
        let Some(user) = user else { return Ok(SignIn::Refused) };
        if !self.admitted(&user, from).await? {
            return Ok(SignIn::Refused);
        }
        self.throttle.forgive(&email, from);
        Ok(SignIn::Welcome(user))
    }

    /// Whether a password fits, for which as many attempts were counted as it needs looks. One that fits at the first look gives the
    /// second back; for unknown users both are taken, so nobody learns from the time it takes.
    pub(super) async fn fits(
        &self,
        looks: Looks,
        (whose, hash): (Whose, Option<String>),
        email: &str,
        from: Option<IpAddr>,
    ) -> Result<bool, Error> {
        let (prepared, as_typed) = looks.in_order();
        let fits = self.passwords.verify(whose, prepared, hash.clone()).await?;
        match as_typed {
            None => Ok(fits),
            Some(_) if fits => {
                self.throttle.give_back(email, from);
                Ok(true)
            }
            Some(as_typed) => self.passwords.verify(whose, as_typed, hash).await,
        }
    }

    /// Writes that a user signed out.
    pub async fn signed_out(&self, user: &User, from: Option<IpAddr>) -> Result<(), Error> {
        let (now, user) = (self.clock.now(), user.clone());
        let by = user.as_actor(from);
        let write = self
            .store
            .write(move |tx| Box::pin(async move { note(tx, &by, now, Action::SignedOut, &user).await }));
        write.await.map(|_| ())
    }

    /// Writes that a user signed in, unless the password that was compared is not theirs any more or they were locked out
    /// while it was: then it is as wrong as any other.
    async fn admitted(&self, user: &User, from: Option<IpAddr>) -> Result<bool, Error> {
        let (now, user) = (self.clock.now(), user.clone());
        let by = user.as_actor(from);
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let current = is_current(tx, &user).await?;
                if current {
                    note(tx, &by, now, Action::SignedIn, &user).await?;
                }
                Ok(current)
            })
        });
        Ok(written.await?.value)
    }
}
