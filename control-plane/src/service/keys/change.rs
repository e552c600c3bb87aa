//! What can happen to a key after its creation: rename and other changes, revoke, rotate.

use std::slice;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::named::refuse_key_in;
use super::once::{refuse_repeat, remember};
use super::service::{Keys, existing, fitting};
use crate::contract::Scope;
use crate::domain::audit::{Action, Actor};
use crate::domain::audit_text::changed_from;
use crate::domain::error::Error;
use crate::domain::keys::rotate::not_near;
use crate::domain::keys::secret::{GeneratedKey, PlaintextKey};
use crate::domain::keys::{End, IdempotencyKey, Idempotent, Key, KeyPatch, NewKey, RotateDraft, Status};
use crate::domain::random;
use crate::service::{plans, quota, workspaces};
use crate::store::{Tx, View, Written};

/// A key that is revoked.
pub struct Revoked {
    /// The key as it is now.
    pub key: Key,
    /// False when it had been revoked before.
    pub news: bool,
}

/// A key that was replaced, and the one in its place.
pub struct Rotated {
    /// The new key.
    pub key: Key,
    /// Its plaintext, for its owner, once.
    pub plaintext: PlaintextKey,
    /// The old key as it is now.
    pub previous: Key,
}

/// How far rotations are followed back: a grace is 90 days at most.
const MOST_ROTATIONS: u32 = 32;

impl Keys {
    /// Changes name, expiry, limits or restrictions. A revoked key can only be renamed.
    pub async fn update(&self, id: &str, patch: KeyPatch, by: Actor) -> Result<Written<Key>, Error> {
        let now = self.clock.now();
        self.fleet.check("limits", patch.limits.iter().flatten().flatten())?;
        let changes = patch.check(now)?;
        let id = id.to_owned();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let key = existing(tx, &id).await?;
                    let visible = changes.expires_at.is_some()
                        || changes.limits.is_some()
                        || changes.restrict.is_some()
                        || changes.plan.is_some();
                    if visible && key.revoked_at.is_some() {
                        return Err(conflict("a revoked key stays revoked", &key.id));
                    }
                    let workspace = workspaces::named(tx, "workspace", &key.workspace).await?;
                    if changes.expires_at.is_some() && key.status(now) == Status::Expired {
                        quota::admit(tx, &workspace, 1, now).await?;
                    }
                    if let Some(name) = &changes.name {
                        refuse_key_in("name", name, tx).await?;
                        tx.rename_key(&key, name).await?;
                    }
                    if let Some(note) = &changes.note {
                        if let Some(note) = note {
                            refuse_key_in("note", note, tx).await?;
                        }
                        tx.set_key_note(key.seq, note.as_deref()).await?;
                    }
                    if let Some(expires_at) = changes.expires_at {
                        tx.set_key_expiry(key.seq, expires_at).await?;
                    }
                    if let Some(limits) = changes.limits {
                        let limits = fitting(&workspace, limits, "limits")?;
                        tx.set_key_limits(key.seq, limits.as_deref()).await?;
                    }
                    if let Some(draft) = changes.restrict {
                        let restrict = draft.and_then(|draft| draft.over(key.restrict.as_ref()));
                        if restrict != key.restrict {
                            tx.set_key_restrict(key.seq, restrict.as_ref()).await?;
                        }
                    }
                    if let Some(plan) = changes.plan {
                        plans::check_named(tx, plan.as_deref(), Scope::Key).await?;
                        tx.set_key_plan(key.seq, plan.as_deref()).await?;
                    }
                    let changed = existing(tx, &id).await?;
                    note_changes(tx, &by, now, &key, &changed).await?;
                    Ok(changed)
                })
            })
            .await
    }

    /// Ends a key for good. Revoking it again changes nothing and succeeds.
    pub async fn revoke(&self, id: &str, by: Actor) -> Result<Written<Revoked>, Error> {
        let now = self.clock.now();
        let id = id.to_owned();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let key = existing(tx, &id).await?;
                    if key.revoked_at.is_some() {
                        return Ok(Revoked { key, news: false });
                    }
                    tx.revoke_key(key.seq, now).await?;
                    let still: Vec<_> =
                        still_working(tx, &key, now).await?.into_iter().map(|key| key.id).collect();
                    let mut details = json!({ "key": key.hint });
                    if !still.is_empty() {
                        details["still_working"] = json!(still);
                    }
                    by.did(tx, now, Action::KeyRevoked, key.as_target(), details).await?;
                    Ok(Revoked { key: existing(tx, &id).await?, news: true })
                })
            })
            .await
    }

    /// The keys in whose place this one came and that work all the same, newest first: whoever ends it may have meant them too.
    pub async fn still_working(&self, key: &Key) -> Result<Vec<Key>, Error> {
        still_working(&mut *self.store.read().await?, key, self.clock.now()).await
    }

    /// Makes a key that inherits everything from an active one, which ends after a grace, but never later than it would
    /// have ended by itself. The new one ends with it or when the draft says.
    pub async fn rotate(
        &self,
        id: &str,
        draft: RotateDraft,
        again: Option<IdempotencyKey>,
        by: Actor,
    ) -> Result<Written<Rotated>, Error> {
        let now = self.clock.now();
        let once = again.map(|key| Idempotent::new(key, &format!("rotate {id}"), &draft)).transpose()?;
        let grace = draft.check()?;
        let wanted_end = draft.end(now)?;
        // The environment of a key never changes, so it may be read before the transaction.
        let made = GeneratedKey::new(self.find(id).await?.environment)?;
        let (id, new_id) = (id.to_owned(), random::id("key_")?);
        let (hash, hint) = (made.hash, made.hint);
        let written = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    refuse_repeat(once.as_ref(), tx, now).await?;
                    let old = existing(tx, &id).await?;
                    let inherited = inherited_end(tx, &old, now).await?;
                    let expires_at = match wanted_end {
                        Some(end) => end,
                        None => not_near(inherited, now, grace)?,
                    };
                    if !grace.is_zero() {
                        // Both are active for a while.
                        let workspace = workspaces::named(tx, "workspace", &old.workspace).await?;
                        quota::admit(tx, &workspace, 1, now).await?;
                    }
                    let row = NewKey { hash, hint, expires_at, ..successor(&old, new_id, now, &by) };
                    tx.insert_keys(slice::from_ref(&row)).await?;
                    tx.set_rotated_to(old.seq, &row.id).await?;
                    if grace.is_zero() {
                        tx.revoke_key(old.seq, now).await?;
                    } else {
                        let end = End::after(now, grace)
                            .ok_or_else(|| Error::internal("a grace after the year 9999"))?;
                        let end = old.expires_at.map_or(end, |own| own.min(end));
                        tx.set_key_expiry(old.seq, Some(end)).await?;
                    }
                    remember(once.as_ref(), tx, &row.id, now).await?;
                    let (mut new, now_old) = (existing(tx, &row.id).await?, existing(tx, &id).await?);
                    if old.note.is_some() {
                        tx.set_key_note(new.seq, old.note.as_deref()).await?;
                        new.note = old.note.clone();
                    }
                    note_rotation(tx, &by, now, (&old, &now_old, &new), grace).await?;
                    Ok((new, now_old))
                })
            })
            .await?;
        Ok(written.map(|(key, previous)| Rotated { key, previous, plaintext: made.plaintext }))
    }
}

/// Follows the rotations back.
async fn still_working(tx: &mut View, key: &Key, now: Timestamp) -> Result<Vec<Key>, Error> {
    let (mut found, mut earlier) = (Vec::new(), key.rotated_from.clone());
    for _ in 0..MOST_ROTATIONS {
        let Some(id) = earlier else { break };
        let Some(key) = tx.find_key(&id).await? else { break };
        earlier = key.rotated_from.clone();
        if key.status(now) == Status::Active {
            found.push(key);
        }
    }
    Ok(found)
}

/// When the key that replaces `key` ends, unless somebody says otherwise. Only a key that works can be replaced, and only while
/// nothing that has replaced it works: a new key that was lost and revoked lets the old one, whose own end may be that of a
/// grace by now, be replaced again.
async fn inherited_end(tx: &mut View, key: &Key, now: Timestamp) -> Result<Option<End>, Error> {
    match key.status(now) {
        Status::Revoked => return Err(conflict("the key is revoked", &key.id)),
        Status::Expired => return Err(conflict("the key has expired", &key.id)),
        Status::Active => {}
    }
    let (mut end, mut next) = (key.expires_at, key.rotated_to.clone());
    while let Some(id) = next {
        let successor = existing(tx, &id).await?;
        if successor.status(now) == Status::Active {
            return Err(conflict("the key was rotated already", &id));
        }
        (end, next) = (successor.expires_at, successor.rotated_to);
    }
    Ok(end)
}

/// The row of the key that replaces `old`; hash and hint are still those of nothing.
fn successor(old: &Key, id: String, now: Timestamp, by: &Actor) -> NewKey {
    NewKey {
        id,
        hash: crate::contract::KeyHash([0; 32]),
        workspace_seq: old.workspace_seq,
        environment: old.environment,
        name: old.name.clone(),
        hint: String::new(),
        limits: old.own_limits.clone(),
        restrict: old.restrict.clone(),
        plan: old.plan.clone(),
        // Whose client is tried goes on so: a rotation refuses nobody.
        shadow: old.shadow,
        created_at: now,
        created_by: by.name.clone(),
        expires_at: old.expires_at,
        rotated_from: Some(old.id.clone()),
    }
}

/// One entry for another name, one for what gateways see. What did not change is not told.
async fn note_changes(
    tx: &mut Tx,
    by: &Actor,
    now: Timestamp,
    before: &Key,
    after: &Key,
) -> Result<(), Error> {
    if before.name != after.name {
        let details = json!({ "key": after.hint, "before": before.name });
        by.did(tx, now, Action::KeyRenamed, after.as_target(), details).await?;
    }
    let is_noted = before.note != after.note;
    let is_other = before.expires_at != after.expires_at
        || before.own_limits != after.own_limits
        || before.restrict != after.restrict
        || before.plan != after.plan;
    if is_other || is_noted {
        let mut details = after.audited();
        details["before"] = changed_from(&before.audited(), &details);
        if is_noted {
            details["before"]["note"] = json!(before.note);
            details["note"] = json!(after.note);
        }
        if let Some(next) = &after.rotated_to {
            // It may work on beside what has replaced it.
            details["rotated_to"] = json!(next);
        }
        by.did(tx, now, Action::KeyUpdated, after.as_target(), details).await?;
    }
    Ok(())
}

/// What became of the old key, and what the new one is.
async fn note_rotation(
    tx: &mut Tx,
    by: &Actor,
    now: Timestamp,
    (before, old, new): (&Key, &Key, &Key),
    grace: SignedDuration,
) -> Result<(), Error> {
    let end = |key: &Key| key.expires_at.map(|end| end.to_string());
    let mut details = json!({ "key": old.hint, "new_id": new.id, "new_key": new.hint, "new_expires_at": end(new),
        "grace_seconds": grace.as_secs() });
    if new.shadow {
        details["shadow"] = json!(true);
    }
    if before.expires_at != old.expires_at {
        details["expires_at"] = json!(end(old));
        details["before"] = json!({ "expires_at": end(before) });
    }
    by.did(tx, now, Action::KeyRotated, old.as_target(), details).await
}

pub(super) fn conflict(message: &str, id: &str) -> Error {
    Error::Conflict { message: message.to_owned(), id: Some(id.to_owned()) }
}
