//! Which fleet limits there are, as the database says: gateways name them, and nobody gets tokens of one that is not there, or by other
//! numbers than it has.
//!
//! What was read is believed for a second, and for ten minutes where the database does not answer.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::contract::leases::Ask;
use crate::contract::{Limit, Reach, Scope, limit_name};
use crate::domain::error::Error;
use crate::domain::keys::{Key, Status};
use crate::domain::lending::Numbers;
use crate::domain::plans::Plan;
use crate::domain::workspaces::Workspace;
use crate::service::clock::Clock;
use crate::store::{Store, View};

/// Keys and workspaces with fleet limits that were asked for lately.
pub(super) struct Owners {
    store: Store,
    clock: Clock,
    known: Mutex<HashMap<Owner, Known>>,
}

/// Whose limit: a key's or a workspace's, by id.
pub(super) type Owner = (Scope, String);

/// What is known of an owner.
#[derive(Clone)]
pub(super) struct Known {
    /// Row number, in the order of creation.
    pub seq: i64,
    limits: Vec<(String, Numbers)>,
    read_at: Instant,
}

const FRESH: Duration = Duration::from_secs(1);
const KEPT: Duration = Duration::from_secs(600);
/// Beyond so many, those that were not read for a while are dropped.
const MANY: usize = 100_000;

impl Owners {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, known: Mutex::default() }
    }

    /// Those of the owners of `asks` that are there.
    pub async fn of(&self, asks: &[Ask]) -> Result<HashMap<Owner, Known>, Error> {
        let wanted: HashSet<Owner> = asks.iter().map(|ask| (ask.scope, ask.owner.clone())).collect();
        let now = self.clock.instant();
        let (mut found, mut to_read) = (HashMap::new(), Vec::new());
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for owner in wanted {
                match known.get(&owner) {
                    Some(known) => {
                        if now.saturating_duration_since(known.read_at) >= FRESH {
                            to_read.push(owner.clone());
                        }
                        found.insert(owner, known.clone());
                    }
                    None => to_read.push(owner),
                }
            }
        }
        if to_read.is_empty() {
            return Ok(found);
        }
        match self.read(&to_read, now).await {
            Ok(read) => {
                self.keep(&to_read, &read, now);
                to_read.iter().for_each(|owner| drop(found.remove(owner)));
                found.extend(read);
                Ok(found)
            }
            // Numbers of a while ago are better than none, if there are any for all.
            Err(error) if to_read.iter().all(|owner| found.contains_key(owner)) => {
                tracing::warn!(%error, "fleet limits could not be read again; they are lent by what was read before");
                Ok(found)
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&self, owners: &[Owner], now: Instant) -> Result<HashMap<Owner, Known>, Error> {
        // Before the rows: what is read is at least as new.
        let revision = self.store.head().revision;
        let mut view = self.store.read().await?;
        let view: &mut View = &mut *view;
        let ids = |scope: Scope| {
            owners
                .iter()
                .filter(move |owner| owner.0 == scope)
                .map(|owner| owner.1.clone())
                .collect::<Vec<_>>()
        };
        let time = self.clock.now();
        // All in one: there are few of them, and who has one is not known before its row is read.
        let plans = view.list_plans().await?;
        let mut found = HashMap::new();
        for key in view.keys_of_ids(&ids(Scope::Key)).await? {
            if key.status(time) == Status::Active {
                let plan = of_name(&plans, key.plan.as_deref());
                found.insert((Scope::Key, key.id.clone()), Known::of_key(&key, plan, revision, now));
            }
        }
        for id in ids(Scope::Workspace) {
            if let Some(workspace) = view.find_workspace(&id).await?.filter(|found| found.id == id) {
                let plan = of_name(&plans, workspace.plan.as_deref());
                found.insert((Scope::Workspace, id), Known::of_workspace(&workspace, plan, revision, now));
            }
        }
        Ok(found)
    }

    /// Owners without fleet limits are not kept: whoever has a credential can name any.
    fn keep(&self, asked: &[Owner], read: &HashMap<Owner, Known>, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for owner in asked {
            match read.get(owner).filter(|read| !read.limits.is_empty()) {
                Some(read) => drop(known.insert(owner.clone(), read.clone())),
                None => drop(known.remove(owner)),
            }
        }
        if known.len() > MANY {
            known.retain(|_, known| now.saturating_duration_since(known.read_at) < KEPT);
        }
    }
}

fn of_name<'p>(plans: &'p [Plan], name: Option<&str>) -> Option<&'p Plan> {
    plans.iter().find(|plan| Some(plan.name.as_str()) == name)
}

impl Known {
    pub fn of_key(key: &Key, plan: Option<&Plan>, revision: u64, now: Instant) -> Self {
        let own = key.limits.iter().filter(|limit| limit.scope == Scope::Key);
        Self::new(key.seq, own, plan, revision, now)
    }

    pub fn of_workspace(workspace: &Workspace, plan: Option<&Plan>, revision: u64, now: Instant) -> Self {
        Self::new(workspace.seq, workspace.bounds.workspace_limits.iter(), plan, revision, now)
    }

    fn new<'l>(
        seq: i64,
        own: impl Iterator<Item = &'l Limit>,
        plan: Option<&Plan>,
        revision: u64,
        now: Instant,
    ) -> Self {
        let own = own.map(|limit| (limit.name.clone(), limit));
        let of_plan = plan.into_iter().flat_map(|plan| &plan.limits);
        let all = own.chain(of_plan.map(|limit| (limit_name(&limit.name), limit)));
        let fleet = all.filter(|(_, limit)| limit.reach == Reach::Fleet);
        let limits = fleet.map(|(name, limit)| (name, Numbers::of(limit, revision))).collect();
        Self { seq, limits, read_at: now }
    }

    /// The numbers of the fleet limit of this name.
    pub fn numbers(&self, name: &str) -> Option<Numbers> {
        self.limits.iter().find(|(known, _)| known == name).map(|(_, numbers)| *numbers)
    }
}
