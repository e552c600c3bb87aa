//! What an operator does with users: add, give roles, reset passwords, lock out. And what users do with themselves.

use std::time::Duration;

use serde_json::{Value, json};

use super::password::{Looks, Whose};
use super::service::{Users, existing};
use crate::domain::audit::{Action, Actor, Target};
use crate::domain::error::{Error, Problems};
use crate::domain::names::twins::{Letters, refuse_twin};
use crate::domain::random;
use crate::domain::users::draft::Wanted;
use crate::domain::users::password::Password;
use crate::domain::users::{NewUser, PasswordDraft, Role, RoleDraft, User, UserDraft, UserPatch};
use crate::service::throttle::Attempt;
use crate::service::workspaces;
use crate::store::{Tx, View};

/// A user who was added or got another password.
pub struct Added {
    /// The user.
    pub user: User,
    /// The password that was generated, for the user, once.
    pub generated: Option<Password>,
}

/// What another password may replace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Whatever is there: the operator has the last word.
    Anything,
    /// Only the one that was compared. Hashes are made one by one: while this one waited, an operator may have given the
    /// user another password or locked them out, because somebody else knows the old one.
    WhatWasRead,
}

impl Users {
    /// Makes a user in a workspace. One who is there already joins the workspace, with the password that they have.
    pub async fn add(&self, draft: UserDraft, by: Actor) -> Result<Added, Error> {
        let now = self.clock.now();
        let Wanted { email, workspace, role, password, operator } = draft.check()?;
        let mut connection = self.store.read().await?;
        let known = connection.find_user(&email).await?.is_some();
        if !known {
            let there = connection.user_emails(!email.is_ascii()).await?;
            refuse_twin(&email, there, Letters::AsciiIsPlain)?;
        }
        drop(connection);
        if known && password.is_some() {
            return Err(Error::invalid(
                "password",
                "the user is there already and has one: see reset-password",
            ));
        }
        let generated = if known || password.is_some() { None } else { Some(Password::generate()?) };
        let password_hash = match password.or_else(|| generated.clone()) {
            Some(password) => self.passwords.hash(password).await?,
            None => String::new(),
        };
        let (id, stamp) = (random::id("usr_")?, new_stamp()?);
        let row = NewUser { id, email, password_hash, stamp, created_at: now };
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let workspace = workspaces::named(tx, "workspace", &workspace).await?;
                match tx.find_user(&row.email).await? {
                    Some(user) if user.membership(&workspace.slug).is_some() => {
                        let message = "the user is a member of the workspace already".to_owned();
                        return Err(Error::Conflict { message, id: Some(user.id) });
                    }
                    // Someone was faster than the hash.
                    None if row.password_hash.is_empty() => return Err(Error::Unavailable("try again")),
                    Some(_) if !known => return Err(Error::Unavailable("try again")),
                    Some(user) => refuse_unknown(&user)?,
                    None => tx.insert_user(&row).await?,
                }
                let user = existing(tx, &row.email).await?;
                tx.set_role(user.seq, workspace.seq, Some(role)).await?;
                if let Some(operator) = operator {
                    tx.set_operator(user.seq, operator).await?;
                }
                let details = json!({ "role": role.as_str(), "new": !known, "operator": operator });
                by.did(tx, now, Action::UserAdded, target(&user, Some(workspace.seq)), details).await?;
                existing(tx, &row.email).await
            })
        });
        Ok(Added { user: written.await?.value, generated })
    }

    /// Gives a user another role in a workspace, or takes them out of it.
    pub async fn set_role(&self, id_or_email: &str, draft: RoleDraft, by: Actor) -> Result<User, Error> {
        let now = self.clock.now();
        let (workspace, role) = draft.check()?;
        let id = id_or_email.to_owned();
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let user = existing(tx, &id).await?;
                let workspace = workspaces::named(tx, "workspace", &workspace).await?;
                if role.is_some() && user.membership(&workspace.slug).is_none() {
                    refuse_unknown(&user)?;
                }
                tx.set_role(user.seq, workspace.seq, role).await?;
                let before = user.membership(&workspace.slug).map(|membership| membership.role.as_str());
                let details = json!({ "role": role.map(Role::as_str), "before": before });
                by.did(tx, now, Action::RoleSet, target(&user, Some(workspace.seq)), details).await?;
                existing(tx, &user.id).await
            })
        });
        Ok(written.await?.value)
    }

    /// Makes a user an operator, who sees all gateways, or an ordinary user again.
    pub async fn update(&self, id_or_email: &str, patch: UserPatch, by: Actor) -> Result<User, Error> {
        let (now, id) = (self.clock.now(), id_or_email.to_owned());
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let user = existing(tx, &id).await?;
                let Some(operator) = patch.operator.filter(|operator| *operator != user.is_operator) else {
                    return Ok(user);
                };
                if operator {
                    refuse_unknown(&user)?;
                }
                tx.set_operator(user.seq, operator).await?;
                let action = if operator { Action::OperatorMade } else { Action::OperatorEnded };
                note(tx, &by, now, action, &user).await?;
                existing(tx, &user.id).await
            })
        });
        Ok(written.await?.value)
    }

    /// Gives a user another password and ends all their sessions.
    pub async fn reset_password(
        &self,
        id_or_email: &str,
        draft: PasswordDraft,
        by: Actor,
    ) -> Result<Added, Error> {
        let user = self.find(id_or_email).await?;
        let generated = if draft.password.is_some() { None } else { Some(Password::generate()?) };
        let password = draft.password.or_else(|| generated.clone());
        let password = password.ok_or_else(|| Error::internal("no password was given or generated"))?;
        let user = self.set_password(user, password, by, Over::Anything).await?;
        Ok(Added { user, generated })
    }

    /// Gives the user themselves another password, if they know the one they have, and ends all their sessions. `session` is what tells
    /// this session from others.
    pub async fn change_password(
        &self,
        user: User,
        current: Password,
        new: Password,
        (by, session): (Actor, &str),
    ) -> Result<User, Error> {
        let email = user.email.clone();
        let attempt = Attempt { account: &email, from: by.address, known: Some(session) };
        if !self.knows_password(&user, current, attempt).await? {
            return Err(Error::invalid("current", "is not your password"));
        }
        self.throttle.forgive(attempt);
        self.set_password(user, new, by, Over::WhatWasRead).await
    }

    /// Whether this is the password of somebody who is signed in. Strangers who try the account do not count here, nor does this for them.
    pub(super) async fn knows_password(
        &self,
        user: &User,
        password: Password,
        attempt: Attempt<'_>,
    ) -> Result<bool, Error> {
        let looks = Looks::at(password);
        if let Err(wait) = self.throttle.admit(attempt, looks.number()) {
            return Err(Error::invalid("current", too_many(wait)));
        }
        let hash = self.store.read().await?.password_hash(user.seq).await?;
        self.fits(looks, (Whose::Known, Some(hash)), attempt).await
    }

    /// Locks a user out and ends all their sessions, or lets them in again.
    pub async fn set_disabled(&self, id_or_email: &str, disabled: bool, by: Actor) -> Result<User, Error> {
        let now = self.clock.now();
        let id = id_or_email.to_owned();
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let user = existing(tx, &id).await?;
                if user.disabled_at.is_some() == disabled {
                    return Ok(user);
                }
                tx.set_disabled(user.seq, disabled.then_some(now)).await?;
                renew_stamp(tx, &user).await?;
                let action = if disabled { Action::UserDisabled } else { Action::UserEnabled };
                note(tx, &by, now, action, &user).await?;
                existing(tx, &user.id).await
            })
        });
        Ok(written.await?.value)
    }

    /// Ends all sessions of a user.
    pub async fn sign_out_everywhere(&self, user: User, by: Actor) -> Result<User, Error> {
        let now = self.clock.now();
        let write = self.store.write(move |tx| {
            Box::pin(async move {
                renew_stamp(tx, &user).await?;
                note(tx, &by, now, Action::SignedOutEverywhere, &user).await?;
                existing(tx, &user.id).await
            })
        });
        Ok(write.await?.value)
    }

    async fn set_password(
        &self,
        user: User,
        password: Password,
        by: Actor,
        over: Over,
    ) -> Result<User, Error> {
        let mut problems = Problems::default();
        password.check(&user.email, &mut problems);
        problems.check()?;
        let now = self.clock.now();
        let hash = self.passwords.hash(password).await?;
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                if over == Over::WhatWasRead && !is_current(tx, &user).await? {
                    let message = "your session ended meanwhile; nothing was changed".to_owned();
                    return Err(Error::Conflict { message, id: Some(user.id) });
                }
                tx.set_password_hash(user.seq, &hash).await?;
                if over == Over::Anything {
                    // An operator hands it over, and knows to whom.
                    disown(tx, &user.id).await?;
                }
                renew_stamp(tx, &user).await?;
                note(tx, &by, now, Action::PasswordSet, &user).await?;
                existing(tx, &user.id).await
            })
        });
        Ok(written.await?.value)
    }
}

/// True when nobody ended the user's sessions or locked them out since `user` was read. For what is written after a hash was
/// waited for: in the transaction that writes.
pub(super) async fn is_current(tx: &mut View, user: &User) -> Result<bool, Error> {
    let now = existing(tx, &user.id).await?;
    Ok(now.stamp == user.stamp && now.disabled_at.is_none())
}

/// Writes what happened to a user, in each of their workspaces: its owners want to know.
pub(super) async fn note(
    tx: &mut Tx,
    by: &Actor,
    now: jiff::Timestamp,
    action: Action,
    user: &User,
) -> Result<(), Error> {
    note_with(tx, by, now, action, user, &json!({})).await
}

/// The same with details.
pub(super) async fn note_with(
    tx: &mut Tx,
    by: &Actor,
    now: jiff::Timestamp,
    action: Action,
    user: &User,
    details: &Value,
) -> Result<(), Error> {
    if user.memberships.is_empty() {
        return by.did(tx, now, action, target(user, None), details.clone()).await;
    }
    for membership in &user.memberships {
        by.did(tx, now, action, target(user, Some(membership.workspace_seq)), details.clone()).await?;
    }
    Ok(())
}

/// Ends all sessions of a user, makes their devices strangers', and ends the invitations that they have made: somebody else may have been
/// signed in, and must not have left a way back in.
pub(super) async fn renew_stamp(tx: &mut Tx, user: &User) -> Result<(), Error> {
    tx.set_stamp(user.seq, &new_stamp()?).await?;
    tx.delete_invitations_by(&user.email).await
}

/// Nobody vouches for the user's address any more but whoever gives them a password now. What an account had that an invitation made may be
/// somebody else's.
pub(super) async fn disown(tx: &mut Tx, id: &str) -> Result<(), Error> {
    let user = existing(tx, id).await?;
    if user.vouched_by.is_some() {
        tx.set_vouched_by(user.seq, None).await?;
        tx.delete_second_factor(user.seq).await?;
    }
    Ok(())
}

/// Refuses an account of which nobody knows whose its address is ([`super::members`]).
pub(super) fn refuse_unknown(user: &User) -> Result<(), Error> {
    if user.vouched_by.is_none() {
        return Ok(());
    }
    let message = "an owner's invitation has made the account, so nobody knows yet whose the address is: give the person a new \
        password first (reset-password)";
    Err(Error::Conflict { message: message.to_owned(), id: Some(user.id.clone()) })
}

pub(super) fn too_many(wait: Duration) -> String {
    format!("too many attempts; try again in {} s", wait.as_secs() + 1)
}

pub(super) fn target(user: &User, workspace_seq: Option<i64>) -> Target<'_> {
    Target { workspace_seq, id: Some(&user.id), name: &user.email }
}

pub(super) fn new_stamp() -> Result<String, Error> {
    random::base62(20).map(|stamp| stamp.to_string())
}
