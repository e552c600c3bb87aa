//! Workspaces: whom keys belong to, the limits that keys get when they ask for none, and what an operator allows
//! ([`crate::domain::bounds`]).

use std::sync::Arc;

use serde_json::json;

use super::clock::Clock;
use super::plans;
use crate::contract::{MAX_LIMITS, Scope};
use crate::domain::audit::{Action, Actor};
use crate::domain::audit_text::changed_from;
use crate::domain::bounds::Bounds;
use crate::domain::error::{Error, Problems};
use crate::domain::lending::Possible;
use crate::domain::lists;
use crate::domain::names::twins::{Letters, refuse_twin};
use crate::domain::workspaces::slug::{MAX_SLUG_LEN, is_slug, slug_of};
use crate::domain::workspaces::{Defaults, WorkspaceDraft, WorkspacePatch};
use crate::domain::workspaces::{Renewed, Workspace};
use crate::domain::{names, random};
use crate::store::{Store, Tx, View, Written};

/// The service.
#[derive(Clone)]
pub struct Workspaces {
    store: Store,
    clock: Clock,
    defaults: Arc<Defaults>,
    fleet: Possible,
}

impl Workspaces {
    /// The service over a database.
    pub fn new(store: Store, clock: Clock, defaults: Defaults) -> Self {
        let fleet = Possible(!store.is_shared());
        Self { store, clock, defaults: Arc::new(defaults), fleet }
    }

    /// The same service, where something counts for the whole fleet or not.
    pub fn with_fleet_limits(self, fleet: Possible) -> Self {
        Self { fleet, ..self }
    }

    /// The same service, reading by the readers of another store.
    pub fn over(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// Makes a workspace. A slug that is taken is a conflict.
    pub async fn create(&self, draft: WorkspaceDraft, by: Actor) -> Result<Workspace, Error> {
        let mut problems = Problems::default();
        let name = names::check("name", draft.name.as_deref().unwrap_or_default(), &mut problems)
            .unwrap_or_default();
        let slug = draft.slug.unwrap_or_else(|| slug_of(&name));
        if !is_slug(&slug) {
            let rule = format!("1 to {MAX_SLUG_LEN} lower-case letters, digits and inner hyphens");
            problems.add("slug", rule);
        }
        let patch = WorkspacePatch {
            name: None,
            default_limits: draft.default_limits,
            ceiling: draft.ceiling.map(Some),
            workspace_limits: draft.workspace_limits,
            max_active_keys: draft.max_active_keys,
            plan: None,
        };
        self.refuse_fleet(&patch)?;
        let changes = patch.check(&mut problems);
        let bounds = changes.bounds(&self.defaults.bounds());
        let default_limits = match changes.default_limits {
            Some(limits) => bounds.fit_default(limits, "default_limits", &mut problems),
            None => bounds.fit_default(self.defaults.of_keys(), "default_limits", &mut problems),
        };
        problems.check()?;
        self.refuse_twin(&name, None).await?;
        let id = random::id("ws_")?;
        let now = self.clock.now();
        let plan = None;
        let workspace = Workspace { seq: 0, id, slug, name, default_limits, bounds, plan, created_at: now };
        let written = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    if let Some(taken) = tx.find_workspace(&workspace.slug).await? {
                        let message = "the slug is taken".to_owned();
                        return Err(Error::Conflict { message, id: Some(taken.id) });
                    }
                    tx.insert_workspace(&workspace).await?;
                    let made = existing(tx, &workspace.id).await?;
                    by.did(tx, now, Action::WorkspaceCreated, made.as_target(), made.audited()).await?;
                    Ok(made)
                })
            })
            .await?;
        Ok(written.value)
    }

    /// One workspace, by id or slug.
    pub async fn find(&self, id_or_slug: &str) -> Result<Workspace, Error> {
        existing(&mut *self.store.read().await?, id_or_slug).await
    }

    /// The workspace of this row.
    pub async fn by_row(&self, seq: i64) -> Result<Workspace, Error> {
        let found = self.store.read().await?.list_workspaces(seq - 1, 1).await?;
        found.into_iter().find(|found| found.seq == seq).ok_or(Error::NotFound("workspace"))
    }

    /// Workspaces, oldest first, and where the next page begins.
    pub async fn list(&self, after: i64, limit: u32) -> Result<(Vec<Workspace>, Option<i64>), Error> {
        let mut connection = self.store.read().await?;
        let found = connection.list_workspaces(after, limit.saturating_add(1)).await?;
        Ok(lists::part(found, limit, |workspace| workspace.seq))
    }

    fn refuse_fleet(&self, patch: &WorkspacePatch) -> Result<(), Error> {
        self.fleet.check("default_limits", patch.default_limits.iter().flatten())?;
        self.fleet.check("ceiling", patch.ceiling.iter().flatten())?;
        self.fleet.check("workspace_limits", patch.workspace_limits.iter().flatten())
    }

    /// Refuses a name that looks like another workspace's but is not the same: two may be called `Production` on purpose. Looked at
    /// before the write, which should not wait for it.
    async fn refuse_twin(&self, name: &str, own: Option<&str>) -> Result<(), Error> {
        let there = self.store.read().await?.workspace_names(!name.is_ascii()).await?;
        let others = there.into_iter().filter(|(id, _)| Some(id.as_str()) != own);
        refuse_twin(name, others, Letters::AsciiIsPlain)
    }

    /// Changes name, default limits or bounds.
    pub async fn update(
        &self,
        id_or_slug: &str,
        patch: WorkspacePatch,
        by: Actor,
    ) -> Result<Written<Workspace>, Error> {
        let now = self.clock.now();
        let mut problems = Problems::default();
        self.refuse_fleet(&patch)?;
        let changes = patch.check(&mut problems);
        problems.check()?;
        if let Some(name) = &changes.name {
            let before = self.find(id_or_slug).await?;
            // Who keeps a name takes nobody's: the twin may be from before there was a rule.
            if *name != before.name {
                self.refuse_twin(name, Some(&before.id)).await?;
            }
        }
        let id = id_or_slug.to_owned();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let before = existing(tx, &id).await?;
                    let wanted = changes.apply(&before)?;
                    store_changes(tx, &before, &wanted).await?;
                    if wanted.audited() != before.audited() || wanted.name != before.name {
                        let mut details = wanted.audited();
                        details["before"] = changed_from(&before.audited(), &details);
                        if wanted.name != before.name {
                            details["name"] = json!(wanted.name);
                            details["before"]["name"] = json!(before.name);
                        }
                        by.did(tx, now, Action::WorkspaceUpdated, wanted.as_target(), details).await?;
                    }
                    Ok(wanted)
                })
            })
            .await
    }
}

/// Stores what differs. Gateways learn of it for every key whose record may be another one now.
async fn store_changes(tx: &mut Tx, before: &Workspace, wanted: &Workspace) -> Result<(), Error> {
    if wanted.name != before.name {
        tx.rename_workspace(wanted.seq, &wanted.name).await?;
    }
    let limits = |bounds: &Bounds| (bounds.ceiling.clone(), bounds.workspace_limits.clone());
    let bounded = limits(&wanted.bounds) != limits(&before.bounds);
    if bounded {
        refuse_full_records(tx, wanted).await?;
    }
    let for_all = bounded || wanted.plan != before.plan;
    if wanted.plan != before.plan {
        plans::check_named(tx, wanted.plan.as_deref(), Scope::Workspace).await?;
        tx.set_workspace_plan(wanted.seq, wanted.plan.as_deref()).await?;
    }
    if wanted.bounds != before.bounds {
        tx.set_bounds(wanted.seq, &wanted.bounds).await?;
    }
    if wanted.default_limits != before.default_limits {
        tx.set_default_limits(wanted.seq, &wanted.default_limits).await?;
    }
    if for_all {
        tx.renew_keys(wanted.seq, Renewed::All).await
    } else if wanted.default_limits != before.default_limits {
        tx.renew_keys(wanted.seq, Renewed::Followers).await
    } else {
        Ok(())
    }
}

/// Refuses bounds that leave no room for the own limits of a key: a record has at most four.
async fn refuse_full_records(tx: &mut View, wanted: &Workspace) -> Result<(), Error> {
    let sets = tx.own_limits(wanted.seq).await?;
    let Some((id, own)) = sets.into_iter().find(|(_, own)| !wanted.bounds.has_room_for(own)) else {
        return Ok(());
    };
    let message = format!(
        "the key {id} has {} limits of its own, and a key has at most {MAX_LIMITS} with the ceiling and the workspace's \
         limits: take some away first",
        own.len()
    );
    Err(Error::Conflict { message, id: Some(id) })
}

/// The workspace that a field of a request names, or the problem that there is none.
pub(crate) async fn named(tx: &mut View, path: &str, id_or_slug: &str) -> Result<Workspace, Error> {
    tx.find_workspace(id_or_slug).await?.ok_or_else(|| Error::invalid(path, "no such workspace"))
}

async fn existing(tx: &mut View, id_or_slug: &str) -> Result<Workspace, Error> {
    tx.find_workspace(id_or_slug).await?.ok_or(Error::NotFound("workspace"))
}
