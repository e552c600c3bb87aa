//! Signing in and out. Unknown users, wrong passwords and locked-out users get the same answer after the same work.

use std::net::IpAddr;
use std::time::Duration;

use super::half_way::HalfWay;
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
    /// The password is right, and the user has a second factor: whose code is asked for next.
    CodeNext(HalfWay),
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
        // It counts before anything is read: whoever is beyond the bound costs no reading, with whatever cookie.
        let device = devices.iter().find(|device| device.may_be_of(&email));
        let mut attempt = Attempt { account: &email, from, known: device.map(|device| device.id.as_str()) };
        if let Err(wait) = self.throttle.admit(attempt, looks.number()) {
            return Ok(SignIn::TooMany(wait));
        }
        let user = self.by_email(typed).await?;
        let is_known = device.is_some_and(|device| user.as_ref().is_some_and(|user| device.is_of(user)));
        if attempt.known.is_some() && !is_known {
            // From before another password, or of somebody who is locked out: a stranger's, and counted as one.
            (0..looks.number()).for_each(|_| self.throttle.give_back(attempt));
            attempt = Attempt::of_stranger(&email, from);
            if let Err(wait) = self.throttle.admit(attempt, looks.number()) {
                return Ok(SignIn::TooMany(wait));
            }
        }
        if is_long {
            return Ok(SignIn::Refused);
        }
        let whose = if is_known { Whose::Known } else { Whose::Strangers };
        let hash = match &user {
            Some(user) => Some(self.store.read().await?.password_hash(user.seq).await?),
            None => None,
        };
        if !self.fits(looks, (whose, hash), attempt).await? {
            return Ok(SignIn::Refused);
        }
        let Some(user) = user else { return Ok(SignIn::Refused) };
        if user.has_second_factor {
            // The attempt stays counted until the code is right, too.
            return Ok(SignIn::CodeNext(HalfWay::of(&user, self.clock.now().as_second())));
        }
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
