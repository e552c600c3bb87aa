//! API keys as their owners see them: create, look at, list. Changing, rotating and importing are in the files beside this one.
//!
//! The rules run inside the write transaction, so that two requests at once cannot both pass a check that only one may pass.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::named::refuse_key_in;
use super::once::{refuse_repeat, remember};
use crate::contract::{Limit, Scope};
use crate::domain::audit::{Action, Actor};
use crate::domain::error::{Error, Problems};
use crate::domain::keys::secret::{GeneratedKey, PlaintextKey};
use crate::domain::keys::{
    IdempotencyKey, Idempotent, Key, KeyCounts, KeyDraft, KeyFilter, NewKey, StateCounts, Status, paste,
};
use crate::domain::lending::Possible;
use crate::domain::workspaces::Workspace;
use crate::domain::{lists, random};
use crate::service::clock::Clock;
use crate::service::{plans, quota, workspaces};
use crate::store::{Store, View, Written};

/// A key that was just made, with the only copy of its plaintext.
pub struct Created {
    /// What is stored.
    pub key: Key,
    /// What its owner gets, once.
    pub plaintext: PlaintextKey,
}

/// What is in a text that may hold a pasted key.
pub enum Pasted {
    /// No key.
    Text,
    /// A key, or much of one, that is none of the workspace.
    Unknown,
    /// This key of the workspace.
    Here(Box<Key>),
}

/// What a sweep has changed in the gateways' table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Swept {
    /// How many keys had expired.
    pub expired: u64,
    /// How many have not expired after all.
    pub returned: u64,
}

/// The service.
#[derive(Clone)]
pub struct Keys {
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// When expired keys were last taken off the gateways' table, in Unix seconds.
    pub(super) swept: Arc<AtomicI64>,
    pub(super) fleet: Possible,
}

impl Keys {
    /// The service over a database.
    pub fn new(store: Store, clock: Clock) -> Self {
        // Nobody knows what the clock did before: the first round looks.
        let fleet = Possible(!store.is_shared());
        Self { store, clock, swept: Arc::new(AtomicI64::new(i64::MAX)), fleet }
    }

    /// The same service, where something counts for the whole fleet or not.
    pub fn with_fleet_limits(self, fleet: Possible) -> Self {
        Self { fleet, ..self }
    }

    /// The same service, reading by the readers of another store.
    pub fn over(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// Makes a key and stores its hash.
    pub async fn create(
        &self,
        draft: KeyDraft,
        again: Option<IdempotencyKey>,
        by: Actor,
    ) -> Result<Written<Created>, Error> {
        let now = self.clock.now();
        let once = again.map(|key| Idempotent::new(key, "create", &draft)).transpose()?;
        self.fleet.check("limits", draft.limits.iter().flatten())?;
        let wanted = draft.check(now)?;
        let made = GeneratedKey::new(wanted.environment)?;
        let id = random::id("key_")?;
        let (hash, hint) = (made.hash, made.hint);
        let written = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    refuse_repeat(once.as_ref(), tx, now).await?;
                    refuse_key_in("name", &wanted.name, tx).await?;
                    if let Some(note) = &wanted.note {
                        refuse_key_in("note", note, tx).await?;
                    }
                    let workspace = workspaces::named(tx, "workspace", &wanted.workspace).await?;
                    let limits = fitting(&workspace, wanted.limits, "limits")?;
                    plans::check_named(tx, wanted.plan.as_deref(), Scope::Key).await?;
                    quota::admit(tx, &workspace, 1, now).await?;
                    let row = NewKey {
                        id,
                        hash,
                        workspace_seq: workspace.seq,
                        environment: wanted.environment,
                        name: wanted.name,
                        hint,
                        limits,
                        restrict: wanted.restrict,
                        plan: wanted.plan,
                        shadow: false,
                        created_at: now,
                        created_by: by.name.clone(),
                        expires_at: wanted.expires_at,
                        rotated_from: None,
                    };
                    tx.insert_keys(slice::from_ref(&row)).await?;
                    remember(once.as_ref(), tx, &row.id, now).await?;
                    let mut key = existing(tx, &row.id).await?;
                    if wanted.note.is_some() {
                        tx.set_key_note(key.seq, wanted.note.as_deref()).await?;
                        key.note = wanted.note;
                    }
                    by.did(tx, now, Action::KeyCreated, key.as_target(), key.audited()).await?;
                    Ok(key)
                })
            })
            .await?;
        Ok(written.map(|key| Created { key, plaintext: made.plaintext }))
    }

    /// One key.
    pub async fn find(&self, id: &str) -> Result<Key, Error> {
        existing(&mut *self.store.read().await?, id).await
    }

    /// Those of these keys that there are, newest first.
    pub async fn some(&self, ids: &[String]) -> Result<Vec<Key>, Error> {
        let mut view = self.store.read().await?;
        let mut found = Vec::new();
        for id in ids {
            found.extend(view.find_key(id).await?);
        }
        found.sort_by_key(|key| -key.seq);
        Ok(found)
    }

    /// The key that the text holds, as people paste keys, seen from this workspace. A short text is a key when there is one with its
    /// hash, in whatever workspace: it must not be kept as text.
    pub async fn pasted(&self, workspace_seq: i64, text: &str) -> Result<Pasted, Error> {
        let hashes = paste::hashes(text);
        let found = match hashes.as_slice() {
            [] => Vec::new(),
            hashes => self.store.read().await?.keys_of_hashes(hashes).await?,
        };
        let is_text = found.is_empty() && !paste::holds_key(text);
        let own = found.into_iter().map(|(_, key)| key).find(|key| key.workspace_seq == workspace_seq);
        Ok(match own {
            Some(key) => Pasted::Here(Box::new(key)),
            None if is_text => Pasted::Text,
            None => Pasted::Unknown,
        })
    }

    /// Keys, newest first, and where the next page begins.
    pub async fn list(&self, filter: &KeyFilter, limit: u32) -> Result<(Vec<Key>, Option<i64>), Error> {
        let mut connection = self.store.read().await?;
        let keys = connection.list_keys(filter, self.clock.now(), limit.saturating_add(1)).await?;
        Ok(lists::part(keys, limit, |key| key.seq))
    }

    /// How many keys a filter leaves, counted up to [`crate::domain::lists::MOST_COUNTED`] and one.
    pub async fn count(&self, filter: &KeyFilter) -> Result<u64, Error> {
        self.store.read().await?.count_keys(filter, self.clock.now()).await
    }

    /// How many keys of a workspace there are in each state: the numbers on the list's links.
    pub async fn state_counts(&self, workspace_seq: i64) -> Result<StateCounts, Error> {
        let (mut view, now) = (self.store.read().await?, self.clock.now());
        let of = |status| KeyFilter {
            workspace_seq: Some(workspace_seq),
            status: Some(status),
            look: Some(lists::MOST_COUNTED),
            ..KeyFilter::default()
        };
        let soon = KeyFilter { ends_before: Some(soon(now)), ..of(Status::Active) };
        Ok(StateCounts {
            active: view.count_keys(&of(Status::Active), now).await?,
            ending: view.count_keys(&soon, now).await?,
            expired: view.count_keys(&of(Status::Expired), now).await?,
            revoked: view.count_keys(&of(Status::Revoked), now).await?,
        })
    }

    /// How many keys there are in each state.
    pub async fn counts(&self) -> Result<KeyCounts, Error> {
        self.store.read().await?.key_counts(self.clock.now()).await
    }

    /// Takes expired keys off the gateways' table, which refuse them by the clock already. When the clock has gone back since the
    /// last time, those that have not expired after all come back.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        let now = self.clock.now();
        let mut swept = Swept::default();
        if now.as_second() < self.swept.load(Ordering::Relaxed) {
            swept.returned = self.list_as(true, now).await?;
        }
        swept.expired = self.list_as(false, now).await?;
        self.swept.store(now.as_second(), Ordering::Relaxed);
        Ok(swept)
    }

    /// Puts into the table what belongs there by the clock, or takes out what does not; returns how many.
    async fn list_as(&self, listed: bool, now: Timestamp) -> Result<u64, Error> {
        const AT_ONCE: u32 = 1_000;
        let mut total = 0;
        loop {
            let some = self.store.write(move |tx| Box::pin(tx.list_by_clock(listed, now, AT_ONCE)));
            let some = some.await?.value;
            total += some;
            if some < u64::from(AT_ONCE) {
                return Ok(total);
            }
        }
    }
}

/// A key that ends before then ends soon: 30 days from now.
pub fn soon(now: Timestamp) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(30 * 24)).unwrap_or(Timestamp::MAX)
}

/// Own limits as they are stored, or what the workspace's bounds say against them.
pub(super) fn fitting(
    workspace: &Workspace,
    own: Option<Vec<Limit>>,
    at: &str,
) -> Result<Option<Vec<Limit>>, Error> {
    let mut problems = Problems::default();
    let fitted = own.map(|own| workspace.bounds.fit(own, at, &mut problems));
    problems.check()?;
    Ok(fitted)
}

/// The key with this id, or the answer that there is none.
pub(super) async fn existing(tx: &mut View, id: &str) -> Result<Key, Error> {
    tx.find_key(id).await?.ok_or(Error::NotFound("API key"))
}
