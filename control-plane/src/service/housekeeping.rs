//! What happens by itself: keys that were made leave the memory, expired keys leave the gateways' table, the log is compacted, gateways are remembered.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};

use super::clock::Clock;
use super::gateways::Gateways;
use super::keys::kept::Kept;
use super::keys::{Keys, Swept};
use super::operators::Operators;
use super::usage::Usage;
use crate::domain::error::Error;
use crate::store::Store;

/// What is looked after.
pub struct Housekeeping {
    /// Keys that were made a moment ago.
    pub kept: Kept,
    /// Keys that expire.
    pub keys: Keys,
    /// Gateways that are remembered.
    pub gateways: Gateways,
    /// Counts that are old.
    pub usage: Usage,
    /// Tokens that were used.
    pub operators: Operators,
    /// The log, sessions and requests.
    pub store: Store,
    /// By which things are over.
    pub clock: Clock,
    /// How many removals stay in the revision log.
    pub removals_kept: u32,
}

/// Time between two rounds. Nothing is urgent: gateways refuse expired keys by the clock.
const INTERVAL: Duration = Duration::from_secs(5);

/// Time between two writes because of gateways that are new: whoever invents some causes no more than these.
const BETWEEN_NEW_GATEWAYS: Duration = Duration::from_secs(1);

/// Most tags that are kept. A gateway that is further behind fetches the whole table.
const TAGS_KEPT: u32 = 100_000;

impl Housekeeping {
    /// Does rounds until the server goes down, then a last one. A round that fails is tried again at the next.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut timer = time::interval(INTERVAL);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_new = time::Instant::now();
        loop {
            let somebody_new = async {
                time::sleep_until(next_new).await;
                self.gateways.somebody_is_unsaved().await;
            };
            let (down, only_gateways) = tokio::select! {
                _ = timer.tick() => (false, false),
                _ = shutdown.wait_for(|down| *down) => (true, false),
                () = somebody_new => (false, true),
            };
            if only_gateways {
                next_new = time::Instant::now() + BETWEEN_NEW_GATEWAYS;
                if let Err(error) = self.gateways.save(&self.store).await {
                    tracing::error!(%error, "a new gateway could not be stored");
                }
                continue;
            }
            if let Err(error) = self.round().await {
                tracing::error!(%error, cause = ?std::error::Error::source(&error), "housekeeping failed");
            }
            if down {
                return;
            }
        }
    }

    /// One round.
    pub async fn round(&self) -> Result<(), Error> {
        self.kept.sweep();
        let Swept { expired, returned } = self.keys.sweep().await?;
        if returned > 0 {
            tracing::warn!(
                keys = returned,
                "the clock has gone back: keys that have not expired are in the gateways' table again"
            );
        }
        if expired > 0 {
            tracing::info!(keys = expired, "expired keys were taken off the gateways' table");
        }
        self.usage.follow_keys().await?;
        let (now, removals_kept) = (self.clock.now(), self.removals_kept);
        let compaction = self.store.write(move |tx| {
            Box::pin(async move {
                tx.forget_old_requests(now).await?;
                tx.forget_expired_sessions(now).await?;
                tx.forget_expired_invitations(now).await?;
                let floor = tx.compact_log(removals_kept).await?;
                tx.prune_tags(TAGS_KEPT).await?;
                Ok(floor)
            })
        });
        if let Some(floor) = compaction.await?.value {
            tracing::info!(floor, "the revision log was compacted");
        }
        self.usage.sweep().await?;
        self.operators.note_uses().await?;
        self.gateways.save(&self.store).await
    }
}
