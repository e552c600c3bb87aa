//! What an owner does with the people of a workspace: invite, give roles, take out. Whoever runs Flamegate may do all of it and more
//! ([`super::manage`]).
//!
//! An owner's word says nothing of whose an e-mail address is. So an account that an invitation has made is marked with the workspace
//! that vouches for it, and joins no other by the operator's `users add` before an operator has given it a password: whoever has
//! taken somebody else's address cannot wait for the workspace that takes them for that person.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::manage::{new_stamp, target};
use super::service::{Users, existing};
use crate::domain::audit::{Action, Actor, Target};
use crate::domain::error::{Error, Problems};
use crate::domain::names::twins::{Letters, refuse_twin};
use crate::domain::random;
use crate::domain::users::draft::check_email;
use crate::domain::users::invitation::{MOST_OPEN, VALID};
use crate::domain::users::password::Password;
use crate::domain::users::{Invitation, NewUser, Role, User};
use crate::service::throttle::Attempt;
use crate::store::{Tx, View};

/// What is in a link: 32 characters, about 190 random bits.
const SECRET_LEN: usize = 32;

/// An invitation, and the only copy of what is in its link.
pub struct Invited {
    /// What is stored.
    pub invitation: Invitation,
    /// What the link has at its end.
    pub secret: String,
}

impl Users {
    /// Makes a link by which somebody may join the workspace.
    pub async fn invite(
        &self,
        workspace_seq: i64,
        email: &str,
        role: &str,
        by: Actor,
    ) -> Result<Invited, Error> {
        let now = self.clock.now();
        let mut problems = Problems::default();
        let email = check_email(email, &mut problems);
        let role = Role::named(role);
        if role.is_none() {
            problems.add("role", "must be owner, member or viewer");
        }
        problems.check()?;
        let (Some(email), Some(role)) = (email, role) else {
            return Err(Error::internal("an invitation without problems is not complete"));
        };
        let secret = random::base62(SECRET_LEN)?.to_string();
        let expires_at = now.checked_add(VALID).map_err(Error::internal)?;
        let (id, created_by) = (random::id("inv_")?, by.name.clone());
        let invitation =
            Invitation { id, workspace_seq, email, role, created_by, created_at: now, expires_at };
        let (row, hash) = (invitation.clone(), hash(&secret));
        let write = self.store.write(move |tx| {
            Box::pin(async move {
                let most = u32::try_from(MOST_OPEN).unwrap_or(u32::MAX);
                let open = tx.list_invitations(workspace_seq, now, most).await?;
                if open.len() as u64 >= MOST_OPEN {
                    let message = format!("{MOST_OPEN} invitations are open: withdraw some first");
                    return Err(Error::Conflict { message, id: None });
                }
                let user = tx.find_user(&row.email).await?;
                if user.is_some_and(|user| is_member(&user, workspace_seq)) {
                    return Err(Error::invalid("email", "is a member already"));
                }
                tx.insert_invitation(&row, hash).await?;
                let details = json!({ "role": row.role.as_str(), "expires_at": row.expires_at.to_string() });
                by.did(tx, now, Action::MemberInvited, of(&row), details).await
            })
        });
        write.await.map(|_| Invited { invitation, secret })
    }

    /// The invitations of a workspace that are good, oldest first.
    pub async fn invitations(&self, workspace_seq: i64) -> Result<Vec<Invitation>, Error> {
        let most = u32::try_from(MOST_OPEN).unwrap_or(u32::MAX);
        self.store.read().await?.list_invitations(workspace_seq, self.clock.now(), most).await
    }

    /// Ends an invitation of the workspace.
    pub async fn withdraw(&self, workspace_seq: i64, id: &str, by: Actor) -> Result<(), Error> {
        let (now, id) = (self.clock.now(), id.to_owned());
        let write = self.store.write(move |tx| {
            Box::pin(async move {
                let most = u32::try_from(MOST_OPEN).unwrap_or(u32::MAX);
                let open = tx.list_invitations(workspace_seq, now, most).await?;
                let found = open.into_iter().find(|one| one.id == id).ok_or(Error::NotFound("invitation"))?;
                tx.delete_invitation(workspace_seq, &id).await?;
                by.did(tx, now, Action::InvitationWithdrawn, of(&found), json!({})).await
            })
        });
        write.await.map(|_| ())
    }

    /// The invitation of a link, while it is good.
    pub async fn invitation(&self, secret: &str) -> Result<Invitation, Error> {
        let is_one = secret.len() == SECRET_LEN && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let found = if is_one {
            still_open(&mut *self.store.read().await?, hash(secret), self.clock.now()).await?
        } else {
            None
        };
        found.ok_or(Error::NotFound("invitation"))
    }

    /// Lets a signed-in user join by a link that is meant for them.
    pub async fn accept(&self, secret: &str, user: &User, by: Actor) -> Result<User, Error> {
        let (now, hash, id) = (self.clock.now(), hash(secret), user.id.clone());
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let open = still_open(tx, hash, now).await?.ok_or(Error::NotFound("invitation"))?;
                let user = existing(tx, &id).await?;
                if user.email != open.email {
                    let message = "the invitation is for somebody else".to_owned();
                    return Err(Error::Conflict { message, id: None });
                }
                join(tx, &open, &user, false, &by, now).await?;
                existing(tx, &id).await
            })
        });
        Ok(written.await?.value)
    }

    /// Makes an account by a link, for somebody who has none, and lets them join. The workspace vouches for the address.
    pub async fn accept_as_new(
        &self,
        secret: &str,
        password: Password,
        address: Option<std::net::IpAddr>,
    ) -> Result<User, Error> {
        let now = self.clock.now();
        let open = self.invitation(secret).await?;
        let mut problems = Problems::default();
        password.check(&open.email, &mut problems);
        problems.check()?;
        // As with signing in: a link is no leave to have hashes made, or to ask who has an account, without end.
        if let Err(wait) = self.throttle.admit(Attempt::of_stranger(&open.id, address), 1) {
            return Err(Error::RateLimited { retry_after_seconds: wait.as_secs() + 1 });
        }
        let mut view = self.store.read().await?;
        if view.find_user(&open.email).await?.is_some() {
            return Err(no_new_account());
        }
        let there = view.user_emails(!open.email.is_ascii()).await?;
        refuse_twin(&open.email, there, Letters::AsciiIsPlain).map_err(|_| no_new_account())?;
        drop(view);
        let row = NewUser {
            id: random::id("usr_")?,
            email: open.email,
            password_hash: self.passwords.hash_of_stranger(password).await?,
            stamp: new_stamp()?,
            created_at: now,
        };
        let hash = hash(secret);
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                // It may have been used or withdrawn while the password was hashed.
                let open = still_open(tx, hash, now).await?.ok_or(Error::NotFound("invitation"))?;
                if tx.find_user(&row.email).await?.is_some() {
                    return Err(no_new_account());
                }
                tx.insert_user(&row).await?;
                let user = existing(tx, &row.id).await?;
                tx.set_vouched_by(user.seq, Some(open.workspace_seq)).await?;
                join(tx, &open, &user, true, &user.as_actor(address), now).await?;
                existing(tx, &row.id).await
            })
        });
        Ok(written.await?.value)
    }

    /// Gives a member another role, or takes them out. A workspace keeps an owner.
    pub async fn change_member(
        &self,
        workspace_seq: i64,
        id: &str,
        role: Option<Role>,
        by: Actor,
    ) -> Result<(), Error> {
        let (now, id) = (self.clock.now(), id.to_owned());
        let write = self.store.write(move |tx| {
            Box::pin(async move {
                let user = existing(tx, &id).await?;
                let before = user.memberships.iter().find(|one| one.workspace_seq == workspace_seq);
                let before = before.ok_or(Error::NotFound("member"))?.role;
                if Some(before) == role {
                    return Ok(());
                }
                let is_owner = before == Role::Owner && user.disabled_at.is_none();
                if is_owner && tx.count_owners(workspace_seq).await? < 2 {
                    let message = "a workspace keeps an owner: make somebody else one first".to_owned();
                    return Err(Error::Conflict { message, id: None });
                }
                tx.set_role(user.seq, workspace_seq, role).await?;
                let details = json!({ "role": role.map(Role::as_str), "before": before.as_str() });
                by.did(tx, now, Action::RoleSet, target(&user, Some(workspace_seq)), details).await
            })
        });
        write.await.map(|_| ())
    }
}

/// The invitation of a link, while it is good and whoever has made it is still an owner: who is none any more must not have left a way
/// back in.
async fn still_open(
    view: &mut View,
    hash: [u8; 32],
    now: jiff::Timestamp,
) -> Result<Option<Invitation>, Error> {
    let Some(found) = view.find_invitation(hash, now).await? else { return Ok(None) };
    let inviter = view.find_user(&found.created_by).await?;
    let is_owner = inviter.is_some_and(|user| {
        let role =
            user.memberships.iter().find(|one| one.workspace_seq == found.workspace_seq).map(|one| one.role);
        user.disabled_at.is_none() && role == Some(Role::Owner)
    });
    Ok(is_owner.then_some(found))
}

/// Uses the invitation up. Who is a member already stays what they are.
async fn join(
    tx: &mut Tx,
    open: &Invitation,
    user: &User,
    new: bool,
    by: &Actor,
    now: jiff::Timestamp,
) -> Result<(), Error> {
    tx.delete_invitation(open.workspace_seq, &open.id).await?;
    if is_member(user, open.workspace_seq) {
        return Ok(());
    }
    tx.set_role(user.seq, open.workspace_seq, Some(open.role)).await?;
    let details = json!({ "role": open.role.as_str(), "new": new, "invited_by": open.created_by });
    by.did(tx, now, Action::UserAdded, target(user, Some(open.workspace_seq)), details).await
}

fn is_member(user: &User, workspace_seq: i64) -> bool {
    user.memberships.iter().any(|one| one.workspace_seq == workspace_seq)
}

/// The address has an account, or looks like one that has: which of them, and whose, is nobody's business who has a link.
fn no_new_account() -> Error {
    let message = "no account can be made for this address: sign in with the one that you have, or ask whoever runs Flamegate";
    Error::Conflict { message: message.to_owned(), id: None }
}

/// What an entry about an invitation is about.
fn of(invitation: &Invitation) -> Target<'_> {
    Target {
        workspace_seq: Some(invitation.workspace_seq),
        id: Some(&invitation.id),
        name: &invitation.email,
    }
}

/// The secret is random, so a plain hash is enough.
fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}
