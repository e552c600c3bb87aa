//! Tells the other replicas of our gateways, and hears of theirs: one write at most in [`BETWEEN_WRITES`], one a second when there is
//! nothing to tell; and a look at the table as often as receipts wait for it.
//!
//! While the database does not answer nothing is told and nothing heard: gateways that are known keep what they have, new ones get no
//! page, and no receipt says that all know.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{self, Instant};

use super::registry::Entries;
use super::service::Gateways;
use super::shared::Shared;
use crate::domain::error::Error;
use crate::domain::replicas::{Publication, Published, Replica};
use crate::store::{Purpose, Store};

/// The exchange between replicas.
pub struct Exchange {
    gateways: Gateways,
    store: Store,
}

/// Least time between two writes of one replica.
const BETWEEN_WRITES: Duration = Duration::from_millis(20);
/// Time between two heartbeats; a fifth of what a replica may be silent.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Time between two looks while receipts wait.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(250);

impl Gateways {
    /// From now on there can be other replicas on the database. They hear of us, and we of them, before this returns; and afterwards
    /// as long as the [`Exchange`] runs.
    pub async fn share(&self, store: &Store) -> Result<(), Error> {
        let shared = Shared::new(self.inner.clock.now())?;
        self.inner.registry.lock().shared = Some(shared);
        let exchange = self.exchange(store);
        exchange.tell().await?;
        exchange.hear().await
    }

    /// The exchange with the other replicas, where there can be some.
    pub fn exchange(&self, store: &Store) -> Exchange {
        Exchange { gateways: self.clone(), store: store.reading_for(Purpose::Replicas) }
    }

    /// The replicas, as they were seen last; none where there cannot be another one.
    pub fn replicas(&self) -> Vec<Replica> {
        let gateways = self.inner.registry.lock();
        gateways.shared.as_ref().map(|shared| shared.replicas().to_vec()).unwrap_or_default()
    }

    /// The id of this replica, where there can be others.
    pub fn replica(&self) -> Option<String> {
        self.inner.registry.lock().shared.as_ref().map(|shared| shared.me().to_owned())
    }
}

impl Exchange {
    /// Goes on until `end`, then tells the others that this replica is gone.
    pub async fn run(self, end: Arc<Notify>) {
        let mut heads = self.store.watch();
        let (mut told, mut failing) = (Instant::now(), false);
        loop {
            let waiting = self.gateways.inner.waiting.load(Ordering::Relaxed) > 0;
            let next = told + HEARTBEAT;
            let next = if waiting { next.min(Instant::now() + BETWEEN_LOOKS) } else { next };
            let has_head = tokio::select! {
                () = end.notified() => break,
                _ = heads.changed() => true,
                () = self.gateways.inner.to_exchange.notified() => false,
                () = time::sleep_until(next) => false,
            };
            let done = self.turn(&mut told, has_head).await;
            if let Err(error) = &done {
                if !failing {
                    tracing::error!(%error, cause = ?std::error::Error::source(error), "the other replicas cannot be told of our \
                        gateways, nor we hear of theirs: receipts are not confirmed, and new gateways wait");
                }
                time::sleep(PAUSE).await;
            } else if failing {
                tracing::info!("the other replicas can be told again");
            }
            failing = done.is_err();
        }
        self.leave().await;
    }

    async fn turn(&self, told: &mut Instant, has_head: bool) -> Result<(), Error> {
        let heartbeat = told.elapsed() >= HEARTBEAT;
        let has_news = self.entries(|gateways| gateways.has_news());
        if has_head || heartbeat || has_news {
            time::sleep_until(*told + BETWEEN_WRITES).await;
            *told = Instant::now();
            self.tell().await?;
        }
        let looks = self.gateways.inner.waiting.load(Ordering::Relaxed) > 0;
        if looks || heartbeat || self.entries(|gateways| gateways.misses_some()) {
            self.hear().await?;
        }
        // Not before whose an id is was seen that somebody has lost.
        self.gateways.inner.exchanged.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Writes what there is to tell.
    async fn tell(&self) -> Result<(), Error> {
        let mut is_back = false;
        loop {
            let (clock, head) = (&self.gateways.inner.clock, self.store.head());
            let Some(said) = self.entries(|gateways| gateways.publication(&head, clock.instant())) else {
                return Ok(());
            };
            let what = match self.publish(&said, is_back).await {
                Ok(what) => what,
                Err(error) => {
                    self.entries(|gateways| gateways.not_published(said));
                    return Err(error);
                }
            };
            is_back = !matches!(what, Published::Done { was_alive: true, .. });
            if is_back {
                tracing::info!(replica = said.replica, beat = said.beat, ?what, "this replica begins");
            }
            self.entries(|gateways| gateways.published(&said, what))?;
            if !is_back {
                return Ok(());
            }
            // Others may have taken us for dead, and given receipts without us. Who is new meanwhile gets no page before the next one is
            // written: behind that we know where the log stands now.
        }
    }

    /// Whoever is new gets a page once this is written, so that is not to be lost. The rest is said again by the next poll: it is a note,
    /// and no revocation waits for it. So is who came from another replica, as each gateway does whose polls go to all in turn.
    async fn publish(&self, said: &Publication, is_back: bool) -> Result<Published, Error> {
        let (publication, is_to_last) =
            (said.clone(), is_back || said.beat == 1 || said.gateways.iter().any(|line| line.is_new));
        if is_to_last {
            let work = self.store.write(move |tx| Box::pin(async move { tx.publish(&publication).await }));
            work.await.map(|written| written.value)
        } else {
            self.store.note(move |tx| Box::pin(async move { tx.publish(&publication).await })).await
        }
    }

    /// Looks at what the others have written.
    async fn hear(&self) -> Result<(), Error> {
        loop {
            let begun = self.gateways.inner.clock.instant();
            let question = |gateways: &mut Entries| Some(gateways.shared.as_mut()?.question(begun));
            let Some((me, seen, ids)) = self.entries(question) else { return Ok(()) };
            let clock = &self.gateways.inner.clock;
            let before = clock.own();
            let mut reader = self.store.read().await?;
            let sight = reader.look(&me, &seen, &ids).await?;
            drop(reader);
            if let Some(at) = sight.at {
                clock.compare(before, at, clock.own());
            }
            let (now, time) = (clock.instant(), clock.now());
            let Some(is_news) = self.entries(|gateways| gateways.saw(sight, now, time)) else { continue };
            if is_news {
                self.gateways.inner.news.send_modify(|count| *count += 1);
            }
            return Ok(());
        }
    }

    /// Our gateways are expected elsewhere at once, and nobody waits for us.
    async fn leave(&self) {
        let done = async {
            self.tell().await?;
            let Some(me) = self.gateways.replica() else { return Ok(()) };
            self.store.write(move |tx| Box::pin(async move { tx.remove_replica(&me).await })).await.map(drop)
        };
        if let Err(error) = done.await {
            tracing::warn!(%error, "the other replicas were not told that this one ends: they find out in a while");
        }
    }

    fn entries<T>(&self, work: impl FnOnce(&mut Entries) -> T) -> T {
        work(&mut self.gateways.inner.registry.lock())
    }
}
