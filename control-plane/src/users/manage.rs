//! What an operator does with users: add, give roles, reset passwords, lock out. And what users do with themselves.

use serde_json::{Value, json};

use super::draft::Wanted;
use super::password::Password;
use super::{PasswordDraft, RoleDraft, User, UserDraft, Users, existing};
use crate::audit::{Action, Actor, Target};
use crate::error::{Error, Problems};
use crate::random;
use crate::store::sqlite::users::NewUserRow;
use crate::store::{Tx, sqlite};
use crate::workspaces;

/// A user who was added or got another password.
pub struct Added {
    /// The user.
    pub user: User,
    /// The password that was generated, for the user, once.
    pub generated: Option<Password>,
}

impl Users {
    /// Makes a user in a workspace. One who is there already joins the workspace, with the password that they have.
    pub async fn add(&self, draft: UserDraft, by: Actor) -> Result<Added, Error> {
        let now = self.clock.now();
        let Wanted { email, workspace, role, password } = draft.check()?;
        let known = sqlite::users::find(&mut *self.store.read().await?, &email).await?.is_some();
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
        let row = NewUserRow { id, email, password_hash, stamp, created_at: now };
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let workspace = workspaces::named(tx, "workspace", &workspace).await?;
                match sqlite::users::find(tx, &row.email).await? {
                    Some(user) if user.membership(&workspace.slug).is_some() => {
                        let message = "the user is a member of the workspace already".to_owned();
                        return Err(Error::Conflict { message, id: Some(user.id) });
                    }
                    // Someone was faster than the hash.
                    None if row.password_hash.is_empty() => return Err(Error::Unavailable("try again")),
                    Some(_) if !known => return Err(Error::Unavailable("try again")),
                    Some(_) => {}
                    None => sqlite::users::insert(tx, &row).await?,
                }
                let user = existing(tx, &row.email).await?;
                sqlite::users::set_role(tx, user.seq, workspace.seq, Some(role)).await?;
                let details = json!({ "role": role.as_str(), "new": !known });
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
                sqlite::users::set_role(tx, user.seq, workspace.seq, role).await?;
                let before = user.membership(&workspace.slug).map(|membership| membership.role.as_str());
                let details = json!({ "role": role.map(super::Role::as_str), "before": before });
                by.did(tx, now, Action::RoleSet, target(&user, Some(workspace.seq)), details).await?;
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
        let user = self.set_password(user, password, by).await?;
        Ok(Added { user, generated })
    }

    /// Gives the user themselves another password, if they know the one they have, and ends all their sessions.
    pub async fn change_password(
        &self,
        user: User,
        current: Password,
        new: Password,
        by: Actor,
    ) -> Result<User, Error> {
        let hash = sqlite::users::password_hash(&mut *self.store.read().await?, user.seq).await?;
        if let Err(wait) = self.throttle.admit(&user.email, by.address) {
            let text = format!("too many attempts; try again in {} s", wait.as_secs() + 1);
            return Err(Error::invalid("current", text));
        }
        if !self.passwords.verify(current, Some(hash)).await? {
            return Err(Error::invalid("current", "is not your password"));
        }
        self.throttle.forgive(&user.email, by.address);
        self.set_password(user, new, by).await
    }

    /// Locks a user out and ends all their sessions, or lets them in again.
    pub async fn set_disabled(&self, id_or_email: &str, disabled: bool, by: Actor) -> Result<User, Error> {
        let now = self.clock.now();
        let (id, stamp) = (id_or_email.to_owned(), new_stamp()?);
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let user = existing(tx, &id).await?;
                if user.disabled_at.is_some() == disabled {
                    return Ok(user);
                }
                sqlite::users::set_disabled(tx, user.seq, disabled.then_some(now)).await?;
                sqlite::users::set_stamp(tx, user.seq, &stamp).await?;
                let action = if disabled { Action::UserDisabled } else { Action::UserEnabled };
                note(tx, &by, now, action, &user).await?;
                existing(tx, &user.id).await
            })
        });
        Ok(written.await?.value)
    }

    /// Ends all sessions of a user.
    pub async fn sign_out_everywhere(&self, user: User, by: Actor) -> Result<(), Error> {
        let (now, stamp) = (self.clock.now(), new_stamp()?);
        let write = self.store.write(move |tx| {
            Box::pin(async move {
                sqlite::users::set_stamp(tx, user.seq, &stamp).await?;
                note(tx, &by, now, Action::SignedOutEverywhere, &user).await
            })
        });
        write.await.map(|_| ())
    }

    async fn set_password(&self, user: User, password: Password, by: Actor) -> Result<User, Error> {
        let mut problems = Problems::default();
        password.check(&user.email, &mut problems);
        problems.check()?;
        let now = self.clock.now();
        let (hash, stamp) = (self.passwords.hash(password).await?, new_stamp()?);
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                sqlite::users::set_password_hash(tx, user.seq, &hash).await?;
                sqlite::users::set_stamp(tx, user.seq, &stamp).await?;
                note(tx, &by, now, Action::PasswordSet, &user).await?;
                existing(tx, &user.id).await
            })
        });
        Ok(written.await?.value)
    }
}

/// Writes what happened to a user, in each of their workspaces: its owners want to know.
pub(super) async fn note(
    tx: &mut Tx,
    by: &Actor,
    now: jiff::Timestamp,
    action: Action,
    user: &User,
) -> Result<(), Error> {
    if user.memberships.is_empty() {
        return by.did(tx, now, action, target(user, None), Value::Object(Default::default())).await;
    }
    for membership in &user.memberships {
        let on = target(user, Some(membership.workspace_seq));
        by.did(tx, now, action, on, Value::Object(Default::default())).await?;
    }
    Ok(())
}

fn target(user: &User, workspace_seq: Option<i64>) -> Target<'_> {
    Target { workspace_seq, id: Some(&user.id), name: &user.email }
}

fn new_stamp() -> Result<String, Error> {
    random::base62(20).map(|stamp| stamp.to_string())
}
