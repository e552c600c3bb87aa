//! Import of keys that exist elsewhere, by hash: their owners keep the keys that they have.

use std::collections::{BTreeMap, HashMap};

use flamegate::api_key::KeyHash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::draft::{Wanted, expiry_schema};
use super::{Key, KeyDraft, Keys, existing, secret};
use crate::audit::{Action, Actor, Target};
use crate::error::{Error, Problems};
use crate::limits::LimitDraft;
use crate::random;
use crate::store::{NewKeyRow, Tx, Written, sqlite};
use crate::workspaces;

/// Most keys in one batch.
pub const MAX_BATCH: usize = 1_000;

/// An existing key, by its hash.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportKey)]
pub struct ImportDraft {
    /// SHA-256 of the whole key, prefix included, as 64 hexadecimal digits.
    #[schema(required, value_type = String, pattern = "^[0-9a-fA-F]{64}$")]
    pub hash: Option<String>,
    /// Id or slug of the workspace.
    #[schema(required, value_type = String, example = "demo")]
    pub workspace: Option<String>,
    /// Descriptive name, 1 to 100 characters.
    #[schema(required, value_type = String)]
    pub name: Option<String>,
    /// `live` or `test`, as in the key's prefix.
    #[schema(required, value_type = String, pattern = "^(live|test)$", example = "live")]
    pub environment: Option<String>,
    /// For people: the prefix, `…`, and at most four characters, for example `sk_live_…a1B2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_hint: Option<String>,
    /// When the key stops working: RFC 3339 text or Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = expiry_schema)]
    pub expires_at: Option<Value>,
    /// Own limits; when it is not given, the key follows its workspace's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<LimitDraft>>,
}

/// What became of one key of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its id; of the key that was there before when `created` is false.
    pub id: String,
    /// False when the hash was known already: nothing was changed.
    pub created: bool,
}

/// A draft that keeps all rules.
struct Ready {
    hash: KeyHash,
    hint: String,
    wanted: Wanted,
}

impl Keys {
    /// Stores one existing key. A hash that is known already is a conflict.
    pub async fn import(&self, draft: ImportDraft, by: Actor) -> Result<Written<Key>, Error> {
        let now = self.clock.now();
        let mut problems = Problems::default();
        let ready = draft.check(now, &mut problems);
        problems.check()?;
        let ready = Vec::from_iter(ready);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let done = store(tx, ready, "", now, &by).await?;
                    match done.into_iter().next() {
                        Some(Imported { id, created: true }) => existing(tx, &id).await,
                        Some(Imported { id, created: false }) => Err(Error::Conflict {
                            message: "the hash is known already".to_owned(),
                            id: Some(id),
                        }),
                        None => Err(Error::internal("nothing was imported")),
                    }
                })
            })
            .await
    }

    /// Stores many existing keys in one transaction: all of them, or none when one breaks a rule. Hashes that are known
    /// already are skipped, so that an import which was cut short can be repeated.
    pub async fn import_batch(
        &self,
        drafts: Vec<ImportDraft>,
        by: Actor,
    ) -> Result<Written<Vec<Imported>>, Error> {
        if drafts.is_empty() || drafts.len() > MAX_BATCH {
            return Err(Error::invalid("keys", format!("1 to {MAX_BATCH} keys")));
        }
        let now = self.clock.now();
        let mut problems = Problems::default();
        let mut ready = Vec::with_capacity(drafts.len());
        for (index, draft) in drafts.into_iter().enumerate() {
            let mut found = Problems::default();
            ready.extend(draft.check(now, &mut found));
            problems.extend_at(&format!("keys[{index}]."), found);
        }
        problems.check()?;
        self.store.write(move |tx| Box::pin(async move { store(tx, ready, "keys", now, &by).await })).await
    }
}

impl ImportDraft {
    fn check(self, now: Timestamp, problems: &mut Problems) -> Option<Ready> {
        let hash = self.hash.as_deref().and_then(KeyHash::from_hex);
        if hash.is_none() {
            problems.add("hash", "must be 64 hexadecimal digits");
        }
        let draft = KeyDraft {
            workspace: self.workspace,
            name: self.name,
            environment: self.environment,
            expires_at: self.expires_at,
            limits: self.limits,
        };
        let wanted = draft.check_into(now, problems)?;
        let hint = self.key_hint.unwrap_or_else(|| secret::hint(wanted.environment, ""));
        if !secret::is_hint(wanted.environment, &hint) {
            problems
                .add("key_hint", "must be the prefix, … and at most four characters, such as sk_live_…a1B2");
        }
        Some(Ready { hash: hash?, hint, wanted })
    }
}

/// Stores those whose hash is new; answers for all, in order. `at` is where the keys lie in the request.
async fn store(
    tx: &mut Tx,
    keys: Vec<Ready>,
    at: &str,
    now: Timestamp,
    by: &Actor,
) -> Result<Vec<Imported>, Error> {
    let hashes: Vec<_> = keys.iter().map(|key| key.hash).collect();
    let mut known: HashMap<_, _> = sqlite::keys::ids_of(tx, &hashes).await?.into_iter().collect();
    let mut workspaces_seen = HashMap::new();
    let (mut rows, mut done) = (Vec::new(), Vec::with_capacity(keys.len()));
    for (index, Ready { hash, hint, wanted }) in keys.into_iter().enumerate() {
        if let Some(id) = known.get(&hash) {
            done.push(Imported { id: id.clone(), created: false });
            continue;
        }
        let workspace_seq = match workspaces_seen.get(&wanted.workspace) {
            Some(seq) => *seq,
            None => {
                let path =
                    if at.is_empty() { "workspace".to_owned() } else { format!("{at}[{index}].workspace") };
                let seq = workspaces::named(tx, &path, &wanted.workspace).await?.seq;
                workspaces_seen.insert(wanted.workspace.clone(), seq);
                seq
            }
        };
        let id = random::id("key_")?;
        known.insert(hash, id.clone());
        done.push(Imported { id: id.clone(), created: true });
        rows.push(NewKeyRow {
            id,
            hash,
            workspace_seq,
            environment: wanted.environment,
            name: wanted.name,
            hint,
            limits: wanted.limits,
            created_at: now,
            created_by: by.name.clone(),
            expires_at: wanted.expires_at,
            rotated_from: None,
        });
    }
    sqlite::keys::insert(tx, &rows).await?;
    note_import(tx, &rows, now, by).await?;
    Ok(done)
}

/// One entry per workspace: an import of 100,000 keys is one decision, not that many.
async fn note_import(tx: &mut Tx, rows: &[NewKeyRow], now: Timestamp, by: &Actor) -> Result<(), Error> {
    let mut counts = BTreeMap::<i64, (usize, &NewKeyRow)>::new();
    for row in rows {
        counts.entry(row.workspace_seq).or_insert((0, row)).0 += 1;
    }
    for (workspace_seq, (count, first)) in counts {
        let name = if count == 1 { first.name.clone() } else { format!("{count} keys") };
        let id = (count == 1).then_some(first.id.as_str());
        let on = Target { workspace_seq: Some(workspace_seq), id, name: &name };
        by.did(tx, now, Action::KeysImported, on, json!({ "keys": count })).await?;
    }
    Ok(())
}
