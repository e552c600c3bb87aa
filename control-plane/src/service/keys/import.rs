//! Import of keys that exist elsewhere, by hash: their owners keep the keys that they have.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::plan::Plan;
use super::service::{Keys, existing};
use crate::domain::audit::{Action, Actor, Target};
use crate::domain::error::{Error, Problems};
use crate::domain::keys::import::Ready;
use crate::domain::keys::{ImportDraft, Imported, Key, MAX_BATCH, NewKey};
use crate::service::quota;
use crate::store::{Tx, View, Written};

impl Keys {
    /// Stores one existing key. A hash that is known already is a conflict.
    pub async fn import(&self, draft: ImportDraft, by: Actor) -> Result<Written<Key>, Error> {
        self.fleet.check("limits", draft.limits.iter().flatten())?;
        let now = self.clock.now();
        let ready = vec![Ok(draft.check(now).map_err(Error::Invalid)?)];
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    refuse_known(tx, &ready).await?;
                    let plan = Plan::of(tx, ready, now, &by).await?;
                    all_or_none(tx, &plan, "", now).await?;
                    let done = store(tx, plan, now, &by).await?;
                    let id = done.first().and_then(Imported::id).unwrap_or_default();
                    existing(tx, id).await
                })
            })
            .await
    }

    /// Stores many existing keys in one transaction. Hashes that are known already are skipped, so that an import which was
    /// cut short can be repeated; one of a key that has ended, or of another workspace, breaks a rule. One key that does is the
    /// end of all of them, unless the import may be `partial`.
    pub async fn import_batch(
        &self,
        drafts: Vec<ImportDraft>,
        partial: bool,
        by: Actor,
    ) -> Result<Written<Vec<Imported>>, Error> {
        if drafts.is_empty() || drafts.len() > MAX_BATCH {
            return Err(Error::invalid("keys", format!("1 to {MAX_BATCH} keys")));
        }
        for (index, draft) in drafts.iter().enumerate() {
            self.fleet.check(&format!("keys[{index}].limits"), draft.limits.iter().flatten())?;
        }
        let now = self.clock.now();
        let ready: Vec<_> = drafts.into_iter().map(|draft| draft.check(now)).collect();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let mut plan = Plan::of(tx, ready, now, &by).await?;
                    if partial {
                        plan = plan.within_quotas(tx).await?;
                    } else {
                        all_or_none(tx, &plan, "keys", now).await?;
                    }
                    store(tx, plan, now, &by).await
                })
            })
            .await
    }
}

/// One key alone is not repeated by accident: that it is known is an error, with its id.
async fn refuse_known(tx: &mut View, keys: &[Result<Ready, Problems>]) -> Result<(), Error> {
    let hashes: Vec<_> = keys.iter().flatten().map(|key| key.hash).collect();
    match tx.keys_of_hashes(&hashes).await?.pop() {
        None => Ok(()),
        Some((_, key)) => {
            Err(Error::Conflict { message: "the hash is known already".to_owned(), id: Some(key.id) })
        }
    }
}

/// Stores the keys of a plan.
async fn store(tx: &mut Tx, plan: Plan<'_>, now: Timestamp, by: &Actor) -> Result<Vec<Imported>, Error> {
    tx.insert_keys(&plan.rows).await?;
    note_import(tx, &plan.rows, now, by).await?;
    Ok(plan.done)
}

/// Refuses all of a plan when one of its keys is refused, or there is no room for all. `at` is where the keys lie in the request.
async fn all_or_none(tx: &mut View, plan: &Plan<'_>, at: &str, now: Timestamp) -> Result<(), Error> {
    let mut problems = Problems::default();
    for (index, outcome) in plan.done.iter().enumerate() {
        let Imported::Refused(found) = outcome else { continue };
        let prefix = if at.is_empty() { String::new() } else { format!("{at}[{index}].") };
        problems.extend_at(&prefix, found.clone());
    }
    problems.check()?;
    // By row: one workspace may be named by its id and by its slug.
    let named: BTreeMap<_, _> = plan.workspaces.values().flatten().map(|found| (found.seq, found)).collect();
    for (seq, workspace) in named {
        let more = plan.rows.iter().filter(|row| row.workspace_seq == seq).count();
        quota::admit(tx, workspace, u32::try_from(more).map_err(Error::internal)?, now).await?;
    }
    Ok(())
}

/// One entry per workspace and batch, with the ids of its keys, 1,000 at most: an import of 100,000 keys is one decision, not that
/// many.
async fn note_import(tx: &mut Tx, rows: &[NewKey], now: Timestamp, by: &Actor) -> Result<(), Error> {
    let mut by_workspace = BTreeMap::<i64, Vec<&NewKey>>::new();
    for row in rows {
        by_workspace.entry(row.workspace_seq).or_default().push(row);
    }
    for (workspace_seq, keys) in by_workspace {
        let (id, name, details) = match keys.as_slice() {
            [key] => {
                let mut details = existing(tx, &key.id).await?.audited();
                details["keys"] = json!(1);
                (Some(key.id.as_str()), key.name.clone(), details)
            }
            keys => {
                let ids: Vec<_> = keys.iter().map(|key| key.id.as_str()).collect();
                (None, format!("{} keys", keys.len()), json!({ "keys": keys.len(), "ids": ids }))
            }
        };
        let on = Target { workspace_seq: Some(workspace_seq), id, name: &name };
        by.did(tx, now, Action::KeysImported, on, details).await?;
    }
    Ok(())
}
