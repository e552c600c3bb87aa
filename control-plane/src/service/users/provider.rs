//! Signing in by a provider of identities, which has said who it is and what they may do here.
//!
//! Somebody is found by what the provider calls them; the first time, by their e-mail address, which it has verified. From then on the
//! account is tied to that name, so whoever gets the same address later is somebody else.

use std::net::IpAddr;

use serde_json::json;

use super::manage::{disown, new_stamp, renew_stamp, target};
use super::service::{Users, existing, of_email};
use super::sign_in::SignIn;
use crate::domain::audit::{Action, Actor};
use crate::domain::error::Error;
use crate::domain::names::twins::{Letters, refuse_twin};
use crate::domain::oidc::Identity;
use crate::domain::random;
use crate::domain::users::password::Password;
use crate::domain::users::{NewUser, Role, User};
use crate::service::throttle::Attempt;
use crate::service::workspaces;
use crate::store::{Tx, View};

impl Users {
    /// Lets somebody in whom the provider has named. Whoever is not known here is made a user if the rules give them a place.
    pub async fn sign_in_by_provider(
        &self,
        identity: Identity,
        from: Option<IpAddr>,
    ) -> Result<SignIn, Error> {
        let (now, stamp, id) = (self.clock.now(), new_stamp()?, random::id("usr_")?);
        // Not even who comes with a session of the provider, time and again, fills the audit log.
        let (email, subject) = (identity.email.clone(), identity.subject.clone());
        let attempt = Attempt { account: &email, from, known: Some(&subject) };
        if let Err(wait) = self.throttle.admit(attempt, 1) {
            return Ok(SignIn::TooMany(wait));
        }
        let mut connection = self.store.read().await?;
        let known = found(&mut *connection, &identity).await?;
        let has_own_password = known.as_ref().is_some_and(|user| user.vouched_by.is_none());
        if known.is_none() {
            if !identity.has_place() {
                return Ok(SignIn::Refused);
            }
            let there = connection.user_emails(!identity.email.is_ascii()).await?;
            refuse_twin(&identity.email, there, Letters::AsciiIsPlain).map_err(|_| {
                // Of whom it reminds is not theirs to know.
                let message = "this e-mail address looks like another one's; an operator can help".to_owned();
                Error::Conflict { message, id: None }
            })?;
        }
        drop(connection);
        // A password that nobody knows; an operator may give them another one.
        let password_hash =
            if has_own_password { String::new() } else { self.passwords.hash(Password::generate()?).await? };
        let row = NewUser { id, email: identity.email.clone(), password_hash, stamp, created_at: now };
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let known = found(tx, &identity).await?;
                let is_new = known.is_none();
                let user = match known {
                    Some(user) if user.disabled_at.is_some() => return Ok(None),
                    // An invitation has made the account, and whoever opened it knows the password: an owner may have been that.
                    // From now on it is whose address it is; nobody else is signed in on it, or can be.
                    Some(user) if user.vouched_by.is_some() => {
                        if row.password_hash.is_empty() {
                            return Err(Error::Unavailable("try again"));
                        }
                        tx.set_password_hash(user.seq, &row.password_hash).await?;
                        renew_stamp(tx, &user).await?;
                        disown(tx, &user.id).await?;
                        existing(tx, &user.id).await?
                    }
                    Some(user) => user,
                    None if row.password_hash.is_empty() => return Err(Error::Unavailable("try again")),
                    None => {
                        tx.insert_user(&row).await?;
                        existing(tx, &row.id).await?
                    }
                };
                tx.set_subject(user.seq, &identity.subject).await?;
                let by = user.as_actor(from);
                if is_new {
                    let details = json!({ "new": true, "by": PROVIDER });
                    by.did(tx, now, Action::UserAdded, target(&user, None), details).await?;
                }
                apply(tx, &by, now, &user, &identity).await?;
                let user = existing(tx, &user.id).await?;
                if user.memberships.is_empty() && !user.is_operator {
                    // Their last place was taken away just now, and that stays.
                    return Ok(None);
                }
                let details = || json!({ "by": PROVIDER });
                let places = user.memberships.iter().map(|membership| Some(membership.workspace_seq));
                let none = user.memberships.is_empty().then_some(None);
                for place in places.chain(none) {
                    by.did(tx, now, Action::SignedIn, target(&user, place), details()).await?;
                }
                Ok(Some(user))
            })
        });
        let Some(user) = written.await?.value else { return Ok(SignIn::Refused) };
        self.throttle.forgive(attempt);
        Ok(SignIn::Welcome(user))
    }
}

/// How the audit log names it.
const PROVIDER: &str = "oidc";

async fn found(tx: &mut View, identity: &Identity) -> Result<Option<User>, Error> {
    if let Some(user) = tx.user_of_subject(&identity.subject).await? {
        return Ok(Some(user));
    }
    let user = of_email(tx, &identity.email).await?;
    let Some(user) = user else { return Ok(None) };
    match tx.subject_of(user.seq).await? {
        None => Ok(Some(user)),
        Some(_) => {
            let message =
                "this e-mail address is another account's of the provider; an operator can help".to_owned();
            Err(Error::Conflict { message, id: None })
        }
    }
}

/// Gives and takes the roles that the rules name.
async fn apply(
    tx: &mut Tx,
    by: &Actor,
    now: jiff::Timestamp,
    user: &User,
    identity: &Identity,
) -> Result<(), Error> {
    for (slug, role) in &identity.roles {
        let before = user.membership(slug).map(|membership| membership.role);
        if before == *role {
            continue;
        }
        let workspace = match workspaces::named(tx, "workspace", slug).await {
            Ok(workspace) => workspace,
            Err(_) => {
                tracing::warn!(workspace = slug, "FLAMEGATE_OIDC_ROLES names a workspace that is not there");
                continue;
            }
        };
        tx.set_role(user.seq, workspace.seq, *role).await?;
        let details =
            json!({ "role": role.map(Role::as_str), "before": before.map(Role::as_str), "by": PROVIDER });
        by.did(tx, now, Action::RoleSet, target(user, Some(workspace.seq)), details).await?;
    }
    if let Some(operator) = identity.operator.filter(|operator| *operator != user.is_operator) {
        tx.set_operator(user.seq, operator).await?;
        let action = if operator { Action::OperatorMade } else { Action::OperatorEnded };
        by.did(tx, now, action, target(user, None), json!({ "by": PROVIDER })).await?;
    }
    Ok(())
}
