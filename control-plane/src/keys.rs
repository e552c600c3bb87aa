//! API keys as their owners see them: create, look at, list. Changing, rotating and importing are in the files below.
//!
//! This is the domain: it checks what it is given, keeps the rules, and knows nothing of HTTP. The rules run inside
//! the write transaction, so that two requests at once cannot both pass a check that only one may pass.

mod change;
mod draft;
mod idempotency;
mod import;
pub mod secret;

use std::slice;

use flamegate::api_key::Environment;
use flamegate::record::Limit;
use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::change::{Revoked, RotateDraft, Rotated};
pub(crate) use self::draft::check_name;
pub use self::draft::{KeyDraft, KeyPatch};
pub use self::idempotency::IdempotencyKey;
use self::idempotency::Idempotent;
pub use self::import::{ImportDraft, Imported, MAX_BATCH};
use self::secret::{GeneratedKey, PlaintextKey};
use crate::audit::{Action, Actor, Target};
use crate::clock::Clock;
use crate::error::Error;
use crate::limits;
use crate::random;
use crate::store::{KeyCounts, KeyFilter, NewKeyRow, Store, Tx, Written, sqlite};
use crate::workspaces;

/// A stored key. The key itself is not in here; nobody has it but its owner.
#[derive(Clone, Debug)]
pub struct Key {
    /// Row number: order of creation.
    pub seq: i64,
    /// Public name, `key_…`.
    pub id: String,
    /// Id of its workspace.
    pub workspace: String,
    /// The workspace's row.
    pub workspace_seq: i64,
    /// Slug of its workspace.
    pub workspace_slug: String,
    /// Live or test.
    pub environment: Environment,
    /// Descriptive name for people.
    pub name: String,
    /// `sk_live_…a1B2`.
    pub hint: String,
    /// Own limits; `None` when it follows the workspace's default.
    pub own_limits: Option<Vec<Limit>>,
    /// The workspace's default.
    pub default_limits: Vec<Limit>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, as shown to people; `None` for keys older than the audit log.
    pub created_by: Option<String>,
    /// First moment at which it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The key that it replaced.
    pub rotated_from: Option<String>,
    /// The key that replaces it.
    pub rotated_to: Option<String>,
    /// Last change of what gateways see; `None` once its removal has left the log.
    pub revision: Option<u64>,
}

/// What a key is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Accepted.
    Active,
    /// Refused because someone said so.
    Revoked,
    /// Refused because its time is over.
    Expired,
}

/// A key that was just made, with the only copy of its plaintext.
pub struct Created {
    /// What is stored.
    pub key: Key,
    /// What its owner gets, once.
    pub plaintext: PlaintextKey,
}

/// The service.
#[derive(Clone)]
pub struct Keys {
    store: Store,
    clock: Clock,
}

impl Key {
    /// The limits that the gateways enforce.
    pub fn limits(&self) -> &[Limit] {
        self.own_limits.as_deref().unwrap_or(&self.default_limits)
    }

    /// The key as what something is done to.
    pub(crate) fn as_target(&self) -> Target<'_> {
        Target { workspace_seq: Some(self.workspace_seq), id: Some(&self.id), name: &self.name }
    }

    /// What the audit log tells of it.
    fn audited(&self) -> Value {
        let limits: Vec<_> = self.own_limits.iter().flatten().map(limits::to_text).collect();
        json!({
            "key": self.hint,
            "environment": self.environment.as_str(),
            "expires_at": self.expires_at.map(|time| time.to_string()),
            "limits": self.own_limits.as_ref().map(|_| limits),
        })
    }

    /// Its state at a moment.
    pub fn status(&self, now: Timestamp) -> Status {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => Status::Revoked,
            (None, Some(end)) if end <= now => Status::Expired,
            (None, _) => Status::Active,
        }
    }
}

impl Status {
    /// Name in JSON, queries and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

impl Keys {
    /// The service over a database.
    pub const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
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
        let wanted = draft.check(now)?;
        let made = GeneratedKey::new(wanted.environment)?;
        let id = random::id("key_")?;
        let (hash, hint) = (made.hash, made.hint);
        let written = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    Idempotent::refuse_repeat(once.as_ref(), tx, now).await?;
                    let workspace = workspaces::named(tx, "workspace", &wanted.workspace).await?;
                    let row = NewKeyRow {
                        id,
                        hash,
                        workspace_seq: workspace.seq,
                        environment: wanted.environment,
                        name: wanted.name,
                        hint,
                        limits: wanted.limits,
                        created_at: now,
                        created_by: by.name.clone(),
                        expires_at: wanted.expires_at,
                        rotated_from: None,
                    };
                    sqlite::keys::insert(tx, slice::from_ref(&row)).await?;
                    Idempotent::remember(once.as_ref(), tx, &row.id, now).await?;
                    let key = existing(tx, &row.id).await?;
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

    /// Keys, newest first, and where the next page begins.
    pub async fn list(&self, filter: &KeyFilter, limit: u32) -> Result<(Vec<Key>, Option<i64>), Error> {
        let mut connection = self.store.read().await?;
        let mut keys =
            sqlite::keys::list(&mut connection, filter, self.clock.now(), limit.saturating_add(1)).await?;
        let more = keys.len() > limit as usize;
        keys.truncate(limit as usize);
        let next = keys.last().filter(|_| more).map(|key| key.seq);
        Ok((keys, next))
    }

    /// How many keys a filter leaves.
    pub async fn count(&self, filter: &KeyFilter) -> Result<u64, Error> {
        sqlite::keys::count(&mut *self.store.read().await?, filter, self.clock.now()).await
    }

    /// How many keys there are in each state.
    pub async fn counts(&self) -> Result<KeyCounts, Error> {
        sqlite::keys::counts(&mut *self.store.read().await?, self.clock.now()).await
    }

    /// Takes expired keys off the gateways' table; returns how many. Gateways refuse them by the clock already.
    pub async fn remove_expired(&self) -> Result<u64, Error> {
        const AT_ONCE: u32 = 1_000;
        let now = self.clock.now();
        let mut total = 0;
        loop {
            let written =
                self.store.write(move |tx| Box::pin(sqlite::keys::remove_expired(tx, now, AT_ONCE))).await?;
            total += written.value;
            if written.value < u64::from(AT_ONCE) {
                return Ok(total);
            }
        }
    }
}

/// The key with this id, or the answer that there is none.
async fn existing(tx: &mut Tx, id: &str) -> Result<Key, Error> {
    sqlite::keys::find(tx, id).await?.ok_or(Error::NotFound("API key"))
}
