//! Measures how fast revocations are in force, and keeps it: whoever revoked a key may have gone before the last gateway confirmed it, or
//! did not wait at all. Beside the revocation, never in its way: it looks at what gateways have acknowledged, and writes afterwards.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time;

use super::clock::Clock;
use super::gateways::Gateways;
use super::keys::{Revoked, Rotated};
use crate::domain::error::Error;
use crate::domain::gateways::Receipt;
use crate::domain::keys::Key;
use crate::domain::receipts::{Measured, Speed};
use crate::store::{Store, Written};

/// The service. Clones share it.
#[derive(Clone)]
pub struct Receipts {
    store: Store,
    clock: Clock,
    gateways: Gateways,
    to_measure: mpsc::Sender<Revocation>,
    newest: Arc<Mutex<VecDeque<Revocation>>>,
}

/// A revocation that was committed.
#[derive(Clone, Copy)]
struct Revocation {
    key_seq: i64,
    workspace_seq: i64,
    revision: u64,
    committed: Instant,
}

/// Most that are measured at once, and as many wait. Of a burst beyond that the others are not: each look goes over all gateways.
const MOST_AT_ONCE: usize = 16;
/// Commits whose moment is remembered, so that the page of the key can tell each gateway's time.
const MOST_REMEMBERED: usize = 256;
/// Whoever has not confirmed it by then is told as not there in time.
const LONGEST: Duration = Duration::from_secs(60);
/// Shortest and longest time between two looks. Times are those of the acknowledgements, however late somebody looks.
const LOOKS_AFTER: Duration = Duration::from_millis(200);
const LOOKS_AGAIN: Duration = Duration::from_secs(1);
/// How far back speeds go, and how many revocations they are of at most.
const SPEED_OF: SignedDuration = SignedDuration::from_hours(24 * 30);
const MOST_OF_SPEED: u32 = 1_000;

impl Receipts {
    /// Measures what it is told of, until all clones are gone.
    pub fn new(store: Store, clock: Clock, gateways: Gateways) -> Self {
        let (to_measure, revocations) = mpsc::channel(MOST_AT_ONCE);
        tokio::spawn(measure_all(revocations, store.clone(), clock.clone(), gateways.clone()));
        Self { store, clock, gateways, to_measure, newest: Arc::default() }
    }

    /// The same service, reading by other readers.
    pub fn over(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// What a revocation has committed just now, if it was the first of the key.
    pub fn revoked(&self, written: &Written<Revoked>) {
        if written.value.news {
            self.follow(&written.value.key, written);
        }
    }

    /// What a rotation has committed just now: without a grace it is a revocation.
    pub fn rotated(&self, written: &Written<Rotated>) {
        if written.value.previous.revoked_at.is_some() {
            self.follow(&written.value.previous, written);
        }
    }

    fn follow<T>(&self, key: &Key, written: &Written<T>) {
        let (revision, committed) = (written.head.revision, written.at);
        let one = Revocation { key_seq: key.seq, workspace_seq: key.workspace_seq, revision, committed };
        let mut newest = self.newest();
        if newest.len() == MOST_REMEMBERED {
            newest.pop_front();
        }
        newest.push_back(one);
        drop(newest);
        // Full: there are enough that are measured.
        let _ = self.to_measure.try_send(one);
    }

    /// When the revocation of a key was committed, if that was here and lately.
    pub fn committed(&self, key_seq: i64) -> Option<Instant> {
        self.newest().iter().find(|one| one.key_seq == key_seq).map(|one| one.committed)
    }

    /// How fast the revocation of a key was in force, once that is measured.
    pub async fn of_key(&self, key_seq: i64) -> Result<Option<Measured>, Error> {
        self.store.read().await?.find_receipt(key_seq).await
    }

    /// How fast revocations of a workspace were in force in the last 30 days, the newest 1,000 of them.
    pub async fn speed(&self, workspace_seq: i64) -> Result<Speed, Error> {
        let since = self.clock.now().checked_sub(SPEED_OF).unwrap_or(Timestamp::MIN);
        let measured = self.store.read().await?.newest_receipts(workspace_seq, since, MOST_OF_SPEED).await?;
        Ok(Speed::of(&measured))
    }

    /// Who enforces a revision now, as far as is known here.
    pub fn standing(&self, revision: u64, committed: Option<Instant>) -> Receipt {
        self.gateways.standing(revision, committed)
    }

    fn newest(&self) -> MutexGuard<'_, VecDeque<Revocation>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn measure_all(
    mut revocations: mpsc::Receiver<Revocation>,
    store: Store,
    clock: Clock,
    gateways: Gateways,
) {
    let mut news = gateways.watch();
    let mut waiting: Vec<Revocation> = Vec::new();
    loop {
        if waiting.is_empty() {
            let Some(first) = revocations.recv().await else { return };
            waiting.push(first);
        }
        time::sleep(LOOKS_AFTER).await;
        while waiting.len() < MOST_AT_ONCE
            && let Ok(next) = revocations.try_recv()
        {
            waiting.push(next);
        }
        let (now, at) = (clock.instant(), clock.now());
        let mut done = Vec::new();
        waiting.retain(|one| {
            let receipt = gateways.standing(one.revision, Some(one.committed));
            let is_late = now.saturating_duration_since(one.committed) >= LONGEST;
            let is_done = is_late || receipt.pending().is_empty();
            if is_done {
                done.push(measured(one, &receipt, at));
            }
            !is_done
        });
        if !done.is_empty() {
            let written = store.note(move |tx| Box::pin(async move { tx.store_receipts(&done).await }));
            if let Err(error) = written.await {
                let cause = std::error::Error::source(&error);
                tracing::error!(%error, ?cause, "how fast revocations were in force was not stored");
            }
        }
        if !waiting.is_empty() {
            // Its sender lives as long as the registry, which is here.
            let _ = time::timeout(LOOKS_AGAIN, news.changed()).await;
        }
    }
}

fn measured(one: &Revocation, receipt: &Receipt, at: Timestamp) -> Measured {
    let count = |many: usize| u64::try_from(many).unwrap_or(u64::MAX);
    Measured {
        key_seq: one.key_seq,
        workspace_seq: one.workspace_seq,
        at,
        gateways: count(receipt.gateways.len()),
        enforced: count(receipt.enforced()),
        cut_off: count(receipt.cut_off.len()),
        slowest_ms: receipt.slowest_ms(),
    }
}
