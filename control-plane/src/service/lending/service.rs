//! What is lent, and what people see of it.

use std::sync::Arc;
use std::time::Instant;

use super::holders::Holders;
use super::owners::{Known, Owners};
use crate::books::{Away, Books, Entry, History, Rows};
use crate::contract::leases::{Ask, Grant, LEASE_MS, LeaseAnswer};
use crate::contract::{Limit, Reach, Scope, limit_name};
use crate::domain::error::Error;
use crate::domain::keys::Key;
use crate::domain::lending::{Lent, NO_ENGINE, Possible, Step};
use crate::service::clock::Clock;
use crate::service::metrics::LendingMetrics;
use crate::store::{Purpose, Store};

/// The service. Clones share it.
#[derive(Clone)]
pub struct Lending(Arc<Inner>);

struct Inner {
    /// `None` where several control planes may serve one database and have no engine in common.
    books: Option<Arc<dyn Books>>,
    store: Store,
    owners: Owners,
    holders: Holders,
    metrics: LendingMetrics,
}

/// A fleet limit of a key as it stands.
#[derive(Debug)]
pub struct FleetLimit {
    /// The limit.
    pub limit: Limit,
    /// How it stands, unless that cannot be told.
    pub state: Result<FleetState, Away>,
}

/// How a fleet limit stands.
#[derive(Debug)]
pub struct FleetState {
    /// What can be lent now.
    pub left: u64,
    /// Tokens that are out and may still be used.
    pub lent: u64,
    /// Who holds them, as far as this control plane has lent them.
    pub holders: Vec<(String, u64)>,
}

const UNKNOWN_RETRY_MS: u64 = 1_000;

impl Lending {
    /// The service, with the keeper of the books.
    pub fn new(store: &Store, clock: Clock, books: Option<Arc<dyn Books>>, metrics: LendingMetrics) -> Self {
        let store = store.reading_for(Purpose::Leases);
        let owners = Owners::new(store.clone(), clock);
        let holders = Holders::default();
        Self(Arc::new(Inner { books, store, owners, holders, metrics }))
    }

    /// Whether there can be fleet limits.
    pub fn possible(&self) -> Possible {
        Possible(self.0.books.is_some())
    }

    /// What a gateway gets, by its id, for what it asks.
    pub async fn lend(&self, gateway: &str, asks: &[Ask]) -> Result<LeaseAnswer, Error> {
        let inner = &*self.0;
        let books = inner.books.as_ref().ok_or(Error::Unavailable(NO_ENGINE))?;
        let history = books.history().await.map_err(|away| inner.away(&away))?;
        let owners = inner.owners.of(asks).await?;
        let entry = |ask: &Ask| {
            let known = owners.get(&(ask.scope, ask.owner.clone()))?;
            let numbers = known.numbers(&ask.name)?;
            let young_in = young_in(history, ask.scope, known);
            let subject = subject(ask.scope, &ask.owner, &ask.name);
            Some(Entry { subject, numbers, young_in, step: step(ask) })
        };
        let entries: Vec<Option<Entry>> = asks.iter().map(entry).collect();
        let known: Vec<Entry> = entries.iter().flatten().cloned().collect();
        let begun = Instant::now();
        let stepped = books.step(&known).await.map_err(|away| inner.away(&away))?;
        inner.metrics.lent(&stepped.lent, asks, begun.elapsed());
        let elsewhere = known.iter().zip(&stepped.lent).map(|(entry, lent)| {
            let elsewhere =
                lent.out.saturating_sub(inner.holders.note(&entry.subject, gateway, &entry.step, lent));
            if entry.step.want > 0 && lent.tokens == 0 {
                inner.metrics.refused(elsewhere > 0);
            }
            elsewhere
        });
        let grants = grants(&entries, stepped.lent.iter().zip(elsewhere));
        Ok(LeaseAnswer { lease_ms: LEASE_MS, grants })
    }

    /// The fleet limits of a key as they stand, those of its workspace and of both plans among them: a plan's by the name that clients see.
    pub async fn of_key(&self, key: &Key) -> Result<Vec<FleetLimit>, Error> {
        let inner = &*self.0;
        let mut limits = key.limits.clone();
        for name in key.plan.iter().chain(&key.workspace_plan) {
            let plan = inner.store.read().await?.find_plan(name).await?;
            let named = |limit: Limit| Limit { name: limit_name(&limit.name), ..limit };
            limits.extend(plan.into_iter().flat_map(|plan| plan.limits).map(named));
        }
        limits.retain(|limit| limit.reach == Reach::Fleet);
        let mut found = Vec::new();
        for limit in limits {
            let owner = match limit.scope {
                Scope::Key => &key.id,
                Scope::Workspace => &key.workspace,
            };
            let state = inner.look(owner, &limit).await;
            found.push(FleetLimit { limit, state });
        }
        Ok(found)
    }

    /// Ends lending in order. What has to outlive this process is stored, or the next one begins with nothing known.
    pub async fn close(&self) {
        let Some(saved) = self.0.books.as_ref().and_then(|books| books.close()) else { return };
        let write = self.0.store.write(move |tx| Box::pin(async move { tx.save_books(&saved).await }));
        if let Err(error) = write.await {
            tracing::error!(%error, "the books of fleet limits were not stored: they begin anew, in full debt");
        }
    }
}

impl Inner {
    async fn look(&self, owner: &str, limit: &Limit) -> Result<FleetState, Away> {
        let books = self.books.as_ref().ok_or_else(|| Away::Engine(NO_ENGINE.to_owned()))?;
        let history = books.history().await?;
        let ask =
            Ask { owner: owner.to_owned(), scope: limit.scope, name: limit.name.clone(), ..Ask::default() };
        let owners = self.owners.of(&[ask]).await.map_err(|error| Away::Engine(error.to_string()))?;
        let known = owners.get(&(limit.scope, owner.to_owned()));
        let Some((known, numbers)) = known.and_then(|known| Some((known, known.numbers(&limit.name)?)))
        else {
            return Ok(FleetState { left: 0, lent: 0, holders: Vec::new() });
        };
        let subject = subject(limit.scope, owner, &limit.name);
        let young_in = young_in(history, limit.scope, known);
        let entry = Entry { subject, numbers, young_in, step: Step::default() };
        let lent = books.look(std::slice::from_ref(&entry)).await?.pop().unwrap_or_default();
        let holders = self.holders.of(&entry.subject, history.told(lent.generation));
        Ok(FleetState { left: lent.left, lent: lent.out, holders })
    }

    /// Why nothing is lent, for a gateway: it goes by what the limit says of that.
    fn away(&self, away: &Away) -> Error {
        self.metrics.away(away);
        match away {
            Away::Silent => Error::Unavailable("limits of the fleet: what was lent before has not ended yet"),
            Away::Engine(why) => {
                tracing::warn!(why, "tokens of fleet limits cannot be lent");
                Error::Unavailable("limits of the fleet: the engine that counts is away")
            }
        }
    }
}

/// The mark of a history that is older than the owner: it has no debt from before that.
fn young_in(history: History, scope: Scope, owner: &Known) -> Option<u32> {
    let Rows { keys, workspaces } = history.rows;
    let newest = match scope {
        Scope::Key => keys,
        Scope::Workspace => workspaces,
    };
    (owner.seq > newest).then_some(history.mark)
}

/// The book's name. Ids and names hold no colon.
fn subject(scope: Scope, owner: &str, name: &str) -> String {
    match scope {
        Scope::Key => format!("key:{owner}:{name}"),
        Scope::Workspace => format!("workspace:{owner}:{name}"),
    }
}

fn step(ask: &Ask) -> Step {
    Step {
        want: ask.want.into(),
        generation: ask.generation,
        spent: ask.spent.into(),
        returned: ask.returned.into(),
        alone: ask.alone.into(),
    }
}

/// In the order of the asks, from what was lent and what others hold; nothing for limits that are not there.
fn grants<'l>(entries: &[Option<Entry>], mut lent: impl Iterator<Item = (&'l Lent, u64)>) -> Vec<Grant> {
    let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let grant = |entry: &Option<Entry>| {
        let lent = entry.as_ref().and_then(|_| lent.next());
        let unknown = Grant { retry_after_ms: UNKNOWN_RETRY_MS, ..Grant::default() };
        lent.map_or(unknown, |(lent, elsewhere)| Grant {
            tokens: short(lent.tokens),
            generation: lent.generation,
            left: short(lent.left),
            retry_after_ms: lent.wait_us.div_ceil(1_000),
            held_elsewhere: short(elsewhere),
        })
    };
    entries.iter().map(grant).collect()
}
