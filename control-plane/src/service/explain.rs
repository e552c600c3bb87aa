//! Everything that is known about one key, for whoever asks why a request is refused: its record, what limits it, what it replaced,
//! which gateways enforce it, and who changed it last.

use jiff::Timestamp;

use super::clock::Clock;
use super::gateways::Gateways;
use crate::domain::audit::{AuditFilter, Entry};
use crate::domain::error::Error;
use crate::domain::explain::{Question, Verdict};
use crate::domain::gateways::GatewayView;
use crate::domain::keys::{Key, KeyFilter};
use crate::domain::plans::Plan;
use crate::domain::workspaces::Workspace;
use crate::store::{Store, View};

/// The service. Clones share it.
#[derive(Clone)]
pub struct Explain {
    store: Store,
    clock: Clock,
    gateways: Gateways,
}

/// What is known.
pub struct Explanation {
    /// As of when.
    pub now: Timestamp,
    /// The log's revision.
    pub revision: u64,
    /// Which key is meant.
    pub found: Found,
    /// What a gateway answers that enforces everything; `None` when several keys are meant.
    pub verdict: Option<Verdict>,
    /// Each gateway, and what it answers.
    pub gateways: Vec<(GatewayView, Verdict)>,
}

/// Which key is meant.
pub enum Found {
    /// None has that hash.
    Nothing,
    /// Several have that hint, or more than these.
    Several {
        /// Newest first.
        keys: Vec<Key>,
        /// There are more.
        more: bool,
    },
    /// This one.
    One(Box<Known>),
}

/// A key and what belongs to it.
pub struct Known {
    /// The key.
    pub key: Key,
    /// Its workspace.
    pub workspace: Workspace,
    /// The key's plan, and the workspace's.
    pub plans: Vec<Plan>,
    /// The key that it replaced.
    pub predecessor: Option<Key>,
    /// The key that replaces it.
    pub successor: Option<Key>,
    /// What was done to it last.
    pub last_change: Option<Entry>,
}

/// Most keys that are shown to choose from.
const MOST_CANDIDATES: u32 = 50;

impl Explain {
    /// The service over a database.
    pub const fn new(store: Store, clock: Clock, gateways: Gateways) -> Self {
        Self { store, clock, gateways }
    }

    /// What is known about a key. That no key has an id or a hint is an error; that none has a hash is an answer.
    pub async fn explain(&self, question: Question) -> Result<Explanation, Error> {
        let now = self.clock.now();
        // Before the key is read: whoever has acknowledged this has what is read.
        let revision = self.store.head().revision;
        let views = self.gateways.list();
        let mut connection = self.store.read().await?;
        let found = find(&mut *connection, question, now).await?;
        let key = match &found {
            Found::Several { .. } => {
                return Ok(Explanation { now, revision, found, verdict: None, gateways: Vec::new() });
            }
            Found::Nothing => None,
            Found::One(known) => Some(&known.key),
        };
        let judged = |view: GatewayView| {
            let verdict = Verdict::of_gateway(&view, key, revision, now);
            (view, verdict)
        };
        let gateways: Vec<_> = views.into_iter().map(judged).collect();
        let connected = gateways.iter().filter(|(view, _)| view.connected).map(|(_, verdict)| *verdict);
        let verdict = Some(Verdict::in_general(Verdict::of_key(key, now), &connected.collect::<Vec<_>>()));
        Ok(Explanation { now, revision, verdict, gateways, found })
    }
}

async fn find(view: &mut View, question: Question, now: Timestamp) -> Result<Found, Error> {
    let key = match question {
        Question::Id(id) => view.find_key(&id).await?.ok_or(Error::NotFound("API key"))?,
        Question::Hash(hash) => match view.keys_of_hashes(&[hash]).await?.pop() {
            Some((_, key)) => key,
            None => return Ok(Found::Nothing),
        },
        Question::Hint(hint) => {
            let filter = KeyFilter { hint: Some(hint), ..KeyFilter::default() };
            let mut keys = view.list_keys(&filter, now, MOST_CANDIDATES + 1).await?;
            let more = keys.len() > MOST_CANDIDATES as usize;
            keys.truncate(MOST_CANDIDATES as usize);
            match keys.len() {
                0 => return Err(Error::NotFound("API key")),
                1 => keys.remove(0),
                _ => return Ok(Found::Several { keys, more }),
            }
        }
    };
    let workspace = view.find_workspace(&key.workspace).await?.ok_or(Error::NotFound("workspace"))?;
    let mut plans = Vec::new();
    for name in key.plan.iter().chain(&key.workspace_plan) {
        plans.extend(view.find_plan(name).await?);
    }
    let predecessor = other(view, key.rotated_from.as_deref()).await?;
    let successor = other(view, key.rotated_to.as_deref()).await?;
    let filter = AuditFilter { target_id: Some(key.id.clone()), ..AuditFilter::default() };
    let last_change = view.list_entries(&filter, 1).await?.pop();
    Ok(Found::One(Box::new(Known { key, workspace, plans, predecessor, successor, last_change })))
}

async fn other(view: &mut View, id: Option<&str>) -> Result<Option<Key>, Error> {
    match id {
        Some(id) => view.find_key(id).await,
        None => Ok(None),
    }
}
