//! What is answered about use, and how long it is kept.

use jiff::{SignedDuration, Timestamp};

use super::intake::Intake;
use crate::domain::error::Error;
use crate::domain::keys::Key;
use crate::domain::usage::{Batch, Bucket, Lines, Minute, Period, SHADOW_KEPT, Step, Tally, minute_of};
use crate::domain::workspaces::Workspace;
use crate::service::clock::Clock;
use crate::service::key_series::KeySeries;
use crate::store::Store;

/// The service. Clones share it.
#[derive(Clone)]
pub struct Usage {
    pub(super) store: Store,
    pub(super) clock: Clock,
    intake: Intake,
}

/// What a key was used for.
pub struct KeyUsage {
    /// The key.
    pub key: Key,
    /// Since when there are counts; `None` before the first.
    pub since: Option<Minute>,
    /// In order of time.
    pub buckets: Vec<Bucket>,
    /// Ids of the gateways where it was used last, with the first minute of the hour, the latest first.
    pub gateways: Vec<(String, Minute)>,
}

/// What the keys of a workspace were used for.
pub struct WorkspaceUsage {
    /// The workspace.
    pub workspace: Workspace,
    /// Since when there are counts; `None` before the first.
    pub since: Option<Minute>,
    /// In order of time.
    pub buckets: Vec<Bucket>,
    /// The keys that were used most, on all days that the time touches.
    pub busiest: Vec<(Key, Tally)>,
}

/// Buckets that are forgotten in one transaction, and transactions in one round.
const FORGOTTEN_AT_ONCE: u32 = 1_000;
const MOST_AT_ONCE: usize = 20;
/// Changes of keys that are taken in one transaction.
const FOLLOWED_AT_ONCE: u32 = 1_000;
/// A process that did not post for so long has nothing more to repeat.
const NUMBERS_KEPT: SignedDuration = SignedDuration::from_hours(24 * 8);
/// Most processes of one credential whose numbers are kept: whoever has a credential can make sessions up.
const MOST_NUMBERS: u32 = 4_096;
/// Longest time of which the busiest keys are told, in minutes: each day is looked at.
pub const BUSIEST_OF: i64 = 31 * 1_440;
const MOST_BUSIEST: u32 = 20;

impl Usage {
    /// The service over a database, and the series that tell what is counted.
    pub fn new(store: Store, clock: Clock, series: Option<KeySeries>) -> Self {
        let intake = Intake::new(store.clone(), clock.clone(), series);
        Self { store, clock, intake }
    }

    /// The same service, reading by other readers.
    pub fn over(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// Adds what a gateway says; see [`Intake::add`].
    pub async fn add(&self, batch: Batch) -> Result<u64, Error> {
        self.intake.add(batch).await
    }

    /// What a key was used for.
    pub async fn of_key(&self, id: &str, period: &Period) -> Result<KeyUsage, Error> {
        let mut view = self.store.read().await?;
        let key = view.find_key(id).await?.ok_or(Error::NotFound("API key"))?;
        let since = view.usage_since().await?;
        let buckets = period.fill(&view.usage_of_key(key.seq, period).await?, since);
        let mut gateways = view.gateways_of_keys(&[key.seq]).await?;
        gateways.sort_by(|one, other| (other.hour, &one.gateway).cmp(&(one.hour, &other.gateway)));
        let gateways = gateways.into_iter().map(|at| (at.gateway, at.hour)).collect();
        Ok(KeyUsage { key, since, buckets, gateways })
    }

    /// What all keys of a workspace were used for.
    pub async fn of_workspace(&self, id_or_slug: &str, period: &Period) -> Result<WorkspaceUsage, Error> {
        let mut view = self.store.read().await?;
        let workspace = view.find_workspace(id_or_slug).await?.ok_or(Error::NotFound("workspace"))?;
        let since = view.usage_since().await?;
        let buckets = period.fill(&view.usage_of_workspace(workspace.seq, period).await?, since);
        let mut busiest = Vec::new();
        let from = period.from.max(period.to - BUSIEST_OF);
        for (id, tally) in view.busiest_keys(workspace.seq, from, period.to, MOST_BUSIEST).await? {
            if let Some(key) = view.find_key(&id).await? {
                busiest.push((key, tally));
            }
        }
        Ok(WorkspaceUsage { workspace, since, buckets, busiest })
    }

    /// The last 30 days of the keys of a list.
    pub async fn lines(&self, keys: &[Key]) -> Result<Lines, Error> {
        let mut view = self.store.read().await?;
        let period = Lines::period(minute_of(self.clock.now()));
        let seqs: Vec<_> = keys.iter().map(|key| key.seq).collect();
        let found = view.usage_of_keys(&seqs, &period).await?;
        Ok(Lines::new(found, &period, view.usage_since().await?))
    }

    /// Learns which keys are active, for those that are unused to be found; in small transactions.
    pub async fn follow_keys(&self) -> Result<(), Error> {
        for _ in 0..MOST_AT_ONCE {
            if !self.store.note(|tx| Box::pin(tx.follow_keys(FOLLOWED_AT_ONCE))).await? {
                break;
            }
        }
        Ok(())
    }

    /// Forgets what is older than it is kept, in small transactions.
    pub async fn sweep(&self) -> Result<(), Error> {
        let now = self.clock.now();
        for step in Step::ALL {
            let before = minute_of(now) - step.kept();
            for _ in 0..MOST_AT_ONCE {
                let some =
                    self.store.note(move |tx| Box::pin(tx.forget_usage(step, before, FORGOTTEN_AT_ONCE)));
                if some.await? < u64::from(FORGOTTEN_AT_ONCE) {
                    break;
                }
            }
        }
        let before = Step::Day.start(minute_of(now)) - SHADOW_KEPT;
        for _ in 0..MOST_AT_ONCE {
            let some = self.store.note(move |tx| Box::pin(tx.forget_shadow(before, FORGOTTEN_AT_ONCE)));
            if some.await? < u64::from(FORGOTTEN_AT_ONCE) {
                break;
            }
        }
        let before: Timestamp = now.checked_sub(NUMBERS_KEPT).unwrap_or(Timestamp::MIN);
        self.store.note(move |tx| Box::pin(tx.forget_usage_numbers(before, MOST_NUMBERS))).await
    }
}
