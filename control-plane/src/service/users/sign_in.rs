//! Signing in and out. Unknown users, wrong passwords and locked-out users get the same answer after the same work.

use std::net::IpAddr;
use std::time::Duration;

use super::manage::{is_current, note};
use super::password::{Looks, Whose};
use super::service::{Users, of_email};
use crate::domain::audit::Action;
use crate::domain::error::Error;
use crate::domain::users::device::Device;
use crate::domain::users::password::{MAX_BYTES, Password};
use crate::domain::users::{User, normal_email};
use crate::service::throttle::Attempt;

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
    /// Checks a password that came from this address, on a browser on which these have signed in before.
    pub async fn sign_in(
        &self,
        typed: &str,
        password: Password,
        from: Option<IpAddr>,
        devices: &[Device],
    ) -> Result<SignIn, Error> {
        let email = normal_email(typed);
        let is_long = password.reveal().len() > MAX_BYTES;
        let looks = Looks::at(password);
        // Looked up before it counts, only for whoever has signed in here: a stranger beyond the bound costs no reading.
        let mut user = if devices.is_empty() { None } else { self.by_email(typed).await? };
        let device = user.as_ref().and_then(|user| devices.iter().find(|device| device.is_of(user)));
        let known = device.map(|device| device.id.as_str());
        let whose = if known.is_some() { Whose::Known } else { Whose::Strangers };
        let attempt = Attempt { account: &email, from, known };
        if let Err(wait) = self.throttle.admit(attempt, looks.number()) {
            return Ok(SignIn::TooMany(wait));
        }
        if is_long {
            return Ok(SignIn::Refused);
        }
        if devices.is_empty() {
            user = self.by_email(typed).await?;
        }
        let hash = match &user {
            Some(user) => Some(self.store.read().await?.password_hash(user.seq).await?),
            None => None,
        };
        if !self.fits(looks, (whose, hash), attempt).await? {
            return Ok(SignIn::Refused);
        }
        let Some(user) = user else { return Ok(SignIn::Refused) };
        if !self.admitted(&user, from).await? {
            return Ok(SignIn::Refused);
        }
        self.throttle.forgive(attempt);
        Ok(SignIn::Welcome(user))
    }

    /// Whether a device is still one of somebody who may sign in; not, when that cannot be read now.
    pub async fn is_known(&self, device: &Device) -> bool {
        let user = self.find(&device.user).await;
        user.is_ok_and(|user| user.disabled_at.is_none() && device.is_of(&user))
    }

    /// The user with this address who is not locked out.
    async fn by_email(&self, typed: &str) -> Result<Option<User>, Error> {
        let user = of_email(&mut *self.store.read().await?, typed).await?;
        Ok(user.filter(|user| user.disabled_at.is_none()))
    }

    /// Whether a password fits, for which as many attempts were counted as it needs looks. One that fits at the first look gives the
    /// second back; for unknown users both are taken, so nobody learns from the time it takes.
    pub(super) async fn fits(
        &self,
        looks: Looks,
        (whose, hash): (Whose, Option<String>),
        attempt: Attempt<'_>,
    ) -> Result<bool, Error> {
        let (prepared, as_typed) = looks.in_order();
        let fits = self.passwords.verify(whose, prepared, hash.clone()).await?;
        match as_typed {
            None => Ok(fits),
            Some(_) if fits => {
                self.throttle.give_back(attempt);
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
