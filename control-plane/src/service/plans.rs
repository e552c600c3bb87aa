//! Plans: made, changed and removed by operators. A change is one revision, and gateways hear of it as of one key's.

use serde_json::json;

use super::clock::Clock;
use crate::contract::{MAX_PLANS, Scope};
use crate::domain::audit::{Action, Actor};
use crate::domain::audit_text::changed_from;
use crate::domain::error::Error;
use crate::domain::lending::Possible;
use crate::domain::limits::scope_name;
use crate::domain::plans::{Plan, PlanDraft, PlanPatch, PlanUses};
use crate::domain::workspaces::Workspace;
use crate::store::{Store, View, Written};

/// The service.
#[derive(Clone)]
pub struct Plans {
    store: Store,
    clock: Clock,
    fleet: Possible,
}

impl Plans {
    /// The service over a database.
    pub fn new(store: Store, clock: Clock) -> Self {
        let fleet = Possible(!store.is_shared());
        Self { store, clock, fleet }
    }

    /// The same service, where something counts for the whole fleet or not.
    pub fn with_fleet_limits(self, fleet: Possible) -> Self {
        Self { fleet, ..self }
    }

    /// The same service, reading by the readers of another store.
    pub fn over(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// All plans in order of their names, and how many have each.
    pub async fn list(&self) -> Result<Vec<(Plan, PlanUses)>, Error> {
        let mut view = self.store.read().await?;
        let mut found = Vec::new();
        for plan in view.list_plans().await? {
            let uses = view.plan_uses(&plan.name).await?;
            found.push((plan, uses));
        }
        Ok(found)
    }

    /// The plans of this scope in order of their names.
    pub async fn of_scope(&self, scope: Scope) -> Result<Vec<Plan>, Error> {
        let all = self.store.read().await?.list_plans().await?;
        Ok(all.into_iter().filter(|plan| plan.scope == scope).collect())
    }

    /// The plan of a key or a workspace, if it has one.
    pub async fn named(&self, name: Option<&str>) -> Result<Option<Plan>, Error> {
        match name {
            Some(name) => self.store.read().await?.find_plan(name).await,
            None => Ok(None),
        }
    }

    /// Workspaces with this plan, oldest first, without the first `offset`; and whether there are more.
    pub async fn workspaces(
        &self,
        name: &str,
        offset: u32,
        limit: u32,
    ) -> Result<(Vec<Workspace>, bool), Error> {
        let mut view = self.store.read().await?;
        let mut found = view.workspaces_on_plan(name, offset, limit.saturating_add(1)).await?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        Ok((found, more))
    }

    /// One plan, and how many have it.
    pub async fn find(&self, name: &str) -> Result<(Plan, PlanUses), Error> {
        let mut view = self.store.read().await?;
        let plan = existing(&mut *view, name).await?;
        let uses = view.plan_uses(name).await?;
        Ok((plan, uses))
    }

    /// Makes a plan. A name that is taken is a conflict.
    pub async fn create(&self, draft: PlanDraft, by: Actor) -> Result<Written<Plan>, Error> {
        let now = self.clock.now();
        self.fleet.check("limits", draft.limits.iter().flatten())?;
        let plan = draft.check(now)?;
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let there = tx.list_plans().await?;
                    if there.iter().any(|one| one.name == plan.name) {
                        return Err(conflict("the name is taken", &plan.name));
                    }
                    if there.len() >= MAX_PLANS {
                        return Err(conflict(
                            &format!("there are {MAX_PLANS} plans, and no more can be"),
                            &plan.name,
                        ));
                    }
                    tx.insert_plan(&plan).await?;
                    let made = existing(tx, &plan.name).await?;
                    by.did(tx, now, Action::PlanCreated, made.as_target(), made.audited()).await?;
                    Ok(made)
                })
            })
            .await
    }

    /// Changes limits or restrictions of a plan, for all who have it. A conflict, when the patch was made for another revision.
    pub async fn update(&self, name: &str, patch: PlanPatch, by: Actor) -> Result<Written<Plan>, Error> {
        let (now, name) = (self.clock.now(), name.to_owned());
        self.fleet.check("limits", patch.limits.iter().flatten())?;
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let before = existing(tx, &name).await?;
                    let seen = patch.seen;
                    let wanted = patch.apply(&before)?;
                    if wanted == before {
                        return Ok(before);
                    }
                    if seen.is_some_and(|seen| seen != before.revision) {
                        return Err(conflict("somebody has changed the plan meanwhile", &name));
                    }
                    tx.change_plan(&wanted).await?;
                    let changed = existing(tx, &name).await?;
                    let mut details = changed.audited();
                    details["before"] = changed_from(&before.audited(), &details);
                    by.did(tx, now, Action::PlanUpdated, changed.as_target(), details).await?;
                    Ok(changed)
                })
            })
            .await
    }

    /// Removes a plan that no key and no workspace has.
    pub async fn delete(&self, name: &str, by: Actor) -> Result<Plan, Error> {
        let (now, name) = (self.clock.now(), name.to_owned());
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                let plan = existing(tx, &name).await?;
                let PlanUses { keys, workspaces } = tx.plan_uses(&name).await?;
                if keys + workspaces > 0 {
                    let message = format!("{keys} keys and {workspaces} workspaces have the plan");
                    return Err(conflict(&message, &name));
                }
                tx.delete_plan(&name).await?;
                by.did(tx, now, Action::PlanDeleted, plan.as_target(), json!({})).await?;
                Ok(plan)
            })
        });
        Ok(written.await?.value)
    }
}

/// Refuses a plan that a request names and that is not there, or not for this.
pub(super) async fn check_named(tx: &mut View, plan: Option<&str>, scope: Scope) -> Result<(), Error> {
    let Some(name) = plan else { return Ok(()) };
    let found = tx.find_plan(name).await?.ok_or_else(|| Error::invalid("plan", "no such plan"))?;
    if found.scope == scope {
        return Ok(());
    }
    let (is, wanted) = (scope_name(found.scope), scope_name(scope));
    Err(Error::invalid("plan", format!("is a plan of a {is}, and this is a {wanted}")))
}

async fn existing(tx: &mut View, name: &str) -> Result<Plan, Error> {
    tx.find_plan(name).await?.ok_or(Error::NotFound("plan"))
}

fn conflict(message: &str, id: &str) -> Error {
    Error::Conflict { message: message.to_owned(), id: Some(id.to_owned()) }
}
