//! A second factor of an account with a password: set up and taken away by its user, asked for after the password, taken away by an operator
//! for somebody who has lost everything. Signing in by a provider of identities is the provider's to make safe.
//!
//! A code is used up in the transaction that finds it good, so it is good once at all control planes of a database together.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::half_way::{HalfWay, SetUp};
use super::manage::{is_current, note, note_with, renew_stamp, too_many};
use super::service::{Users, existing};
use super::sign_in::SignIn;
use crate::domain::audit::{Action, Actor};
use crate::domain::error::{Error, Problems};
use crate::domain::users::User;
use crate::domain::users::device::Device;
use crate::domain::users::password::Password;
use crate::domain::users::second_factor::{RecoveryCode, SecondFactor, Typed};
use crate::service::throttle::Attempt;
use crate::store::Tx;

/// What its user sees of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Since when it is asked for.
    pub since: Timestamp,
    /// How many recovery codes are left.
    pub codes_left: u64,
}

/// What a code was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Used {
    App,
    Recovery { left: u64 },
}

impl Users {
    /// The user's second factor, if they have one.
    pub async fn second_factor(&self, user: &User) -> Result<Option<Shown>, Error> {
        if !user.has_second_factor {
            return Ok(None);
        }
        let mut view = self.store.read().await?;
        let Some(SecondFactor { since, .. }) = view.second_factor(user.seq).await? else { return Ok(None) };
        Ok(Some(Shown { since, codes_left: view.recovery_codes_left(user.seq).await? }))
    }

    /// Checks the code of somebody who has shown the password, on a browser on which these have signed in before. `None` when the password
    /// was shown for nothing: it is another one, or there is no second factor any more.
    pub async fn sign_in_by_code(
        &self,
        half: &HalfWay,
        typed: &str,
        from: Option<IpAddr>,
        devices: &[Device],
    ) -> Result<Option<SignIn>, Error> {
        let (now, typed) = (self.clock.now(), Typed::read(typed));
        let is_guessable = matches!(typed, Typed::Code(_));
        let device = devices.iter().find(|device| half.knows(device));
        let attempt = Attempt { account: &half.email, from, known: device.map(|device| device.id.as_str()) };
        if let Err(wait) = self.throttle.admit_code(attempt, is_guessable) {
            return Ok(Some(SignIn::TooMany(wait)));
        }
        let meant = half.clone();
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let user = tx.find_user(&meant.user).await?.filter(|user| meant.is_of(user));
                let Some(user) = user.filter(|user| user.has_second_factor) else { return Ok(None) };
                let Some(used) = use_code(tx, &user, &typed, now).await? else {
                    return Ok(Some(SignIn::Refused));
                };
                let by = user.as_actor(from);
                note_with(tx, &by, now, Action::SignedIn, &user, &used.details()).await?;
                Ok(Some(SignIn::Welcome(user)))
            })
        });
        let became = written.await?.value;
        if matches!(became, Some(SignIn::Welcome(_))) {
            self.throttle.forgive_code(attempt, is_guessable);
        }
        Ok(became)
    }

    /// Gives the user the second factor that they are setting up, once they have shown a code of it and their password. All their sessions
    /// end, and browsers are strangers' again: they were let in by the password alone.
    pub async fn set_second_factor(
        &self,
        user: User,
        (set_up, typed): (SetUp, &str),
        current: Password,
        (by, session): (Actor, &str),
    ) -> Result<User, Error> {
        let (now, email) = (self.clock.now(), user.email.clone());
        let attempt = Attempt { account: &email, from: by.address, known: Some(session) };
        let is_known = self.knows_password(&user, current, attempt).await?;
        let mut problems = Problems::default();
        if !is_known {
            problems.add("current", "is not your password");
        }
        let step = match Typed::read(typed) {
            Typed::Code(code) => set_up.secret.step_of(code, now, i64::MIN),
            Typed::Recovery(_) => None,
        };
        let last_step = step.unwrap_or_else(|| {
            problems.add("code", "is not the one that the app shows now");
            i64::MIN
        });
        problems.check()?;
        self.throttle.forgive(attempt);
        let codes: Vec<_> = set_up.codes.iter().map(RecoveryCode::hash).collect();
        let factor = SecondFactor { secret: set_up.secret, since: now, last_step };
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                if !is_current(tx, &user).await? || tx.second_factor(user.seq).await?.is_some() {
                    return Err(changed_meanwhile(&user));
                }
                tx.insert_second_factor(user.seq, &factor, &codes).await?;
                renew_stamp(tx, &user).await?;
                note(tx, &by, now, Action::SecondFactorSet, &user).await?;
                existing(tx, &user.id).await
            })
        });
        Ok(written.await?.value)
    }

    /// Takes it away for its user, who shows the password and a code. Sessions go on.
    pub async fn remove_second_factor(
        &self,
        user: User,
        typed: &str,
        current: Password,
        (by, session): (Actor, &str),
    ) -> Result<(), Error> {
        let (now, email, typed) = (self.clock.now(), user.email.clone(), Typed::read(typed));
        let attempt = Attempt { account: &email, from: by.address, known: Some(session) };
        if !self.knows_password(&user, current, attempt).await? {
            return Err(Error::invalid("current", "is not your password"));
        }
        let is_guessable = matches!(typed, Typed::Code(_));
        if let Err(wait) = self.throttle.admit_code(attempt, is_guessable) {
            return Err(Error::invalid("code", too_many(wait)));
        }
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                if !is_current(tx, &user).await? {
                    return Err(changed_meanwhile(&user));
                }
                if use_code(tx, &user, &typed, now).await?.is_none() {
                    return Err(Error::invalid("code", "is not right, or was used before"));
                }
                tx.delete_second_factor(user.seq).await?;
                note(tx, &by, now, Action::SecondFactorRemoved, &user).await
            })
        });
        written.await?;
        self.throttle.forgive_code(attempt, is_guessable);
        Ok(())
    }

    /// Takes it away for somebody who has lost the app and the recovery codes, and ends all their sessions. Again, it changes nothing.
    pub async fn reset_second_factor(&self, id_or_email: &str, by: Actor) -> Result<User, Error> {
        let (now, id) = (self.clock.now(), id_or_email.to_owned());
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let user = existing(tx, &id).await?;
                if !user.has_second_factor {
                    return Ok(user);
                }
                tx.delete_second_factor(user.seq).await?;
                renew_stamp(tx, &user).await?;
                note(tx, &by, now, Action::SecondFactorRemoved, &user).await?;
                existing(tx, &user.id).await
            })
        });
        Ok(written.await?.value)
    }
}

/// Uses a code up, if it is one of the user's; what it was.
async fn use_code(tx: &mut Tx, user: &User, typed: &Typed, now: Timestamp) -> Result<Option<Used>, Error> {
    let Some(factor) = tx.second_factor(user.seq).await? else { return Ok(None) };
    match typed {
        Typed::Code(code) => {
            let Some(step) = factor.secret.step_of(*code, now, factor.last_step) else { return Ok(None) };
            tx.set_last_step(user.seq, step).await?;
            Ok(Some(Used::App))
        }
        Typed::Recovery(hash) => {
            if !tx.use_recovery_code(user.seq, *hash).await? {
                return Ok(None);
            }
            Ok(Some(Used::Recovery { left: tx.recovery_codes_left(user.seq).await? }))
        }
    }
}

impl Used {
    fn details(self) -> Value {
        match self {
            Self::App => json!({ "second_factor": "app" }),
            Self::Recovery { left } => json!({ "second_factor": "recovery code", "codes_left": left }),
        }
    }
}

fn changed_meanwhile(user: &User) -> Error {
    let message = "your account was changed meanwhile; nothing was done".to_owned();
    Error::Conflict { message, id: Some(user.id.clone()) }
}
