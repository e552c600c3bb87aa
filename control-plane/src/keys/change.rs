//! What can happen to a key after its creation: rename and other changes, revoke, rotate.

use std::slice;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::idempotency::Idempotent;
use super::secret::{GeneratedKey, PlaintextKey};
use super::{IdempotencyKey, Key, KeyPatch, Keys, Status, existing};
use crate::audit::{Action, Actor};
use crate::error::Error;
use crate::limits::seconds;
use crate::random;
use crate::store::{NewKeyRow, Tx, Written, sqlite};

/// How a key is replaced.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateKey)]
pub struct RotateDraft {
    /// How long the old key still works, in seconds; 0 (the default) ends it at once. At most 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 86_400, minimum = 0, maximum = 7_776_000)]
    pub grace_seconds: Option<i64>,
    /// The same as text: `90s`, `30m`, `24h`, `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<String>,
}

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

/// Longest grace: 90 days in seconds.
const MAX_GRACE_SECONDS: i64 = 90 * 86_400;

impl Keys {
    /// Changes name, expiry or limits. A revoked key can only be renamed.
    pub async fn update(&self, id: &str, patch: KeyPatch, by: Actor) -> Result<Written<Key>, Error> {
        let now = self.clock.now();
        let changes = patch.check(now)?;
        let id = id.to_owned();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let key = existing(tx, &id).await?;
                    let visible = changes.expires_at.is_some() || changes.limits.is_some();
                    if visible && key.revoked_at.is_some() {
                        return Err(conflict("a revoked key stays revoked", &key.id));
                    }
                    if let Some(name) = &changes.name {
                        sqlite::keys::rename(tx, key.seq, name).await?;
                    }
                    if let Some(expires_at) = changes.expires_at {
                        sqlite::keys::set_expiry(tx, key.seq, expires_at).await?;
                    }
                    if let Some(limits) = &changes.limits {
                        sqlite::keys::set_limits(tx, key.seq, limits.as_deref()).await?;
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
                    sqlite::keys::revoke(tx, key.seq, now).await?;
                    let details = json!({ "key": key.hint });
                    by.did(tx, now, Action::KeyRevoked, key.as_target(), details).await?;
                    Ok(Revoked { key: existing(tx, &id).await?, news: true })
                })
            })
            .await
    }

    /// Makes a key that inherits everything from an active one, which ends after a grace, but never later than it would
    /// have ended by itself.
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
        // The environment of a key never changes, so it may be read before the transaction.
        let made = GeneratedKey::new(self.find(id).await?.environment)?;
        let (id, new_id) = (id.to_owned(), random::id("key_")?);
        let (hash, hint) = (made.hash, made.hint);
        let written = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    Idempotent::refuse_repeat(once.as_ref(), tx, now).await?;
                    let old = existing(tx, &id).await?;
                    refuse_unless_current(&old, now)?;
                    let row = NewKeyRow { hash, hint, ..successor(&old, new_id, now, &by) };
                    sqlite::keys::insert(tx, slice::from_ref(&row)).await?;
                    sqlite::keys::set_rotated_to(tx, old.seq, &row.id).await?;
                    if grace.is_zero() {
                        sqlite::keys::revoke(tx, old.seq, now).await?;
                    } else {
                        let end = whole_second_after(now, grace)?;
                        let end = old.expires_at.map_or(end, |own| own.min(end));
                        sqlite::keys::set_expiry(tx, old.seq, Some(end)).await?;
                    }
                    Idempotent::remember(once.as_ref(), tx, &row.id, now).await?;
                    let (new, old) = (existing(tx, &row.id).await?, existing(tx, &id).await?);
                    let details = json!({ "key": old.hint, "new_id": new.id, "new_key": new.hint,
                        "grace_seconds": grace.as_secs() });
                    by.did(tx, now, Action::KeyRotated, old.as_target(), details).await?;
                    Ok((new, old))
                })
            })
            .await?;
        Ok(written.map(|(key, previous)| Rotated { key, previous, plaintext: made.plaintext }))
    }
}

impl RotateDraft {
    fn check(&self) -> Result<SignedDuration, Error> {
        let (path, given) = match (self.grace_seconds, &self.grace) {
            (None, None) => return Ok(SignedDuration::ZERO),
            (Some(_), Some(_)) => {
                return Err(Error::invalid("grace", "give grace or grace_seconds, not both"));
            }
            (Some(number), None) => ("grace_seconds", Some(number)),
            (None, Some(text)) => ("grace", seconds(text)),
        };
        match given {
            None => Err(Error::invalid(path, "must be a time such as 90s, 30m, 24h or 7d")),
            Some(0..=MAX_GRACE_SECONDS) => Ok(SignedDuration::from_secs(given.unwrap_or_default())),
            Some(_) => Err(Error::invalid(path, format!("0 to {MAX_GRACE_SECONDS} seconds"))),
        }
    }
}

/// Only the newest key of a chain, while it works, can be replaced: everything else is a mistake worth telling.
fn refuse_unless_current(key: &Key, now: Timestamp) -> Result<(), Error> {
    match (key.status(now), &key.rotated_to) {
        (Status::Revoked, _) => Err(conflict("the key is revoked", &key.id)),
        (Status::Expired, _) => Err(conflict("the key has expired", &key.id)),
        (Status::Active, Some(next)) => Err(conflict("the key was rotated already", next)),
        (Status::Active, None) => Ok(()),
    }
}

/// The row of the key that replaces `old`; hash and hint are still those of nothing.
fn successor(old: &Key, id: String, now: Timestamp, by: &Actor) -> NewKeyRow {
    NewKeyRow {
        id,
        hash: flamegate::api_key::KeyHash([0; 32]),
        workspace_seq: old.workspace_seq,
        environment: old.environment,
        name: old.name.clone(),
        hint: String::new(),
        limits: old.own_limits.clone(),
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
    if before.expires_at != after.expires_at || before.own_limits != after.own_limits {
        by.did(tx, now, Action::KeyUpdated, after.as_target(), after.audited()).await?;
    }
    Ok(())
}

/// The promised grace is never cut short: gateways count whole seconds.
fn whole_second_after(now: Timestamp, grace: SignedDuration) -> Result<Timestamp, Error> {
    let end = now.checked_add(grace).map_err(Error::internal)?;
    let second = end.as_second() + i64::from(end.subsec_nanosecond() > 0);
    Timestamp::from_second(second).map_err(Error::internal)
}

fn conflict(message: &str, id: &str) -> Error {
    Error::Conflict { message: message.to_owned(), id: Some(id.to_owned()) }
}
