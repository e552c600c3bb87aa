//! What becomes of each key of an import, before anything is stored: it is new, it is there already, or it breaks a rule.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::contract::{Environment, KeyHash, Scope};
use crate::domain::audit::Actor;
use crate::domain::error::{Error, Problems};
use crate::domain::keys::import::Ready;
use crate::domain::keys::{Imported, Key, NewKey, Status, paste};
use crate::domain::random;
use crate::domain::workspaces::Workspace;
use crate::service::{plans, quota, workspaces};
use crate::store::View;

/// The rows to be stored and, in the order of the request, what becomes of each key.
pub(super) struct Plan<'a> {
    pub rows: Vec<NewKey>,
    pub done: Vec<Imported>,
    pub workspaces: HashMap<String, Result<Workspace, Problems>>,
    known: HashMap<KeyHash, Known>,
    /// Keys that a name may hold: those of the import, and of what its names hold those that are stored.
    secrets: HashSet<KeyHash>,
    now: Timestamp,
    by: &'a Actor,
}

/// A hash that is stored, or is about to be.
struct Known {
    id: String,
    workspace_seq: i64,
    environment: Environment,
    /// Why it lets nobody in, whatever the import says.
    ended: Option<&'static str>,
}

impl<'a> Plan<'a> {
    /// Looks at all keys. Nothing is written.
    pub async fn of(
        tx: &mut View,
        keys: Vec<Result<Ready, Problems>>,
        now: Timestamp,
        by: &'a Actor,
    ) -> Result<Self, Error> {
        let hashes: Vec<_> = keys.iter().flatten().map(|key| key.hash).collect();
        let known = tx.keys_of_hashes(&hashes).await?;
        let known = known.into_iter().map(|(hash, key)| (hash, Known::new(&key, now))).collect();
        let named: Vec<_> = keys.iter().flatten().flat_map(|key| paste::hashes(&key.wanted.name)).collect();
        let mut secrets: HashSet<_> = hashes.into_iter().collect();
        secrets.extend(tx.keys_of_hashes(&named).await?.into_iter().map(|(hash, _)| hash));
        let (rows, done) = (Vec::new(), Vec::with_capacity(keys.len()));
        let mut plan = Self { rows, done, workspaces: HashMap::new(), known, secrets, now, by };
        for key in keys {
            let outcome = match key {
                Ok(key) => plan.place(tx, key).await?,
                Err(problems) => Imported::Refused(problems),
            };
            plan.done.push(outcome);
        }
        Ok(plan)
    }

    async fn place(&mut self, tx: &mut View, key: Ready) -> Result<Imported, Error> {
        let Ready { hash, hint, shadow, wanted } = key;
        let workspace = match self.workspaces.entry(wanted.workspace.clone()) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(free) => {
                free.insert(match workspaces::named(tx, "workspace", &wanted.workspace).await {
                    Err(Error::Invalid(problems)) => Err(problems),
                    found => Ok(found?),
                })
            }
        };
        let workspace = match workspace {
            Ok(workspace) => workspace,
            Err(problems) => return Ok(Imported::Refused(problems.clone())),
        };
        if let Some(known) = self.known.get(&hash) {
            return Ok(match known.contradiction(workspace.seq, wanted.environment) {
                None => Imported::Known(known.id.clone()),
                Some(why) => {
                    Imported::Refused(Problems::one("hash", format!("is that of {}, {why}", known.id)))
                }
            });
        }
        let mut problems = Problems::default();
        if paste::hashes(&wanted.name).iter().any(|hash| self.secrets.contains(hash)) {
            problems.add("name", paste::IN_NAME);
        }
        if let Err(error) = plans::check_named(tx, wanted.plan.as_deref(), Scope::Key).await {
            let Error::Invalid(unknown) = error else { return Err(error) };
            problems.extend(unknown);
        }
        let limits = wanted.limits.map(|own| workspace.bounds.fit(own, "limits", &mut problems));
        if !problems.is_empty() {
            return Ok(Imported::Refused(problems));
        }
        let id = random::id("key_")?;
        let (workspace_seq, environment) = (workspace.seq, wanted.environment);
        self.known.insert(hash, Known { id: id.clone(), workspace_seq, environment, ended: None });
        self.rows.push(NewKey {
            id: id.clone(),
            hash,
            workspace_seq,
            environment,
            name: wanted.name,
            hint,
            limits,
            restrict: wanted.restrict,
            plan: wanted.plan,
            shadow,
            created_at: self.now,
            created_by: self.by.name.clone(),
            expires_at: wanted.expires_at,
            rotated_from: None,
        });
        Ok(Imported::Created(id))
    }

    /// Refuses the new keys for which their workspaces have no room, the last ones first.
    pub async fn within_quotas(mut self, tx: &mut View) -> Result<Self, Error> {
        for workspace in self.workspaces.values().flatten() {
            let rows = self.rows.iter().filter(|row| row.workspace_seq == workspace.seq);
            let more = u32::try_from(rows.count()).map_err(Error::internal)?;
            let Err(full) = quota::admit(tx, workspace, more, self.now).await else { continue };
            let Error::Conflict { message, .. } = full else { return Err(full) };
            let room = quota::room(tx, workspace, self.now).await?;
            let mut kept = 0;
            let beyond: Vec<_> = self
                .rows
                .extract_if(.., |row| {
                    kept += u64::from(row.workspace_seq == workspace.seq);
                    row.workspace_seq == workspace.seq && kept > room
                })
                .map(|row| row.id)
                .collect();
            for outcome in &mut self.done {
                // A second line with the hash of a refused one is no key either.
                if outcome.id().is_some_and(|id| beyond.iter().any(|one| one == id)) {
                    *outcome = Imported::Refused(Problems::one("workspace", message.clone()));
                }
            }
        }
        Ok(self)
    }
}

impl Known {
    fn new(key: &Key, now: Timestamp) -> Self {
        let ended = match key.status(now) {
            Status::Active => None,
            Status::Revoked => Some("which is revoked"),
            Status::Expired => Some("which has expired"),
        };
        let (workspace_seq, environment) = (key.workspace_seq, key.environment);
        Self { id: key.id.clone(), workspace_seq, environment, ended }
    }

    /// Why the key that is there is not the one that the import means.
    fn contradiction(&self, workspace_seq: i64, environment: Environment) -> Option<&'static str> {
        if self.workspace_seq != workspace_seq {
            Some("which is another workspace's")
        } else if self.environment != environment {
            Some("which is of another environment")
        } else {
            self.ended
        }
    }
}
