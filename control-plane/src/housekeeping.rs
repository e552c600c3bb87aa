//! What happens by itself: expired keys leave the gateways' table, the log is compacted, gateways are remembered.

use std::time::Duration;

use tokio::time::{self, MissedTickBehavior};

use crate::app::App;
use crate::error::Error;
use crate::store::sqlite;

/// Time between two rounds. Nothing is urgent: gateways refuse expired keys by the clock.
const INTERVAL: Duration = Duration::from_secs(5);

/// Does rounds until the server goes down, then a last one. A round that fails is tried again at the next.
pub async fn run(app: App, removals_kept: u32) {
    let mut timer = time::interval(INTERVAL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shutdown = app.shutdown();
    loop {
        let down = tokio::select! {
            _ = timer.tick() => false,
            _ = shutdown.wait_for(|down| *down) => true,
        };
        if let Err(error) = round(&app, removals_kept).await {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "housekeeping failed");
        }
        if down {
            return;
        }
    }
}

/// One round.
pub async fn round(app: &App, removals_kept: u32) -> Result<(), Error> {
    let expired = app.keys.remove_expired().await?;
    if expired > 0 {
        tracing::info!(keys = expired, "expired keys were taken off the gateways' table");
    }
    let now = app.clock.now();
    let compaction = app.store.write(move |tx| {
        Box::pin(async move {
            sqlite::idempotency::forget_old(tx, now).await?;
            sqlite::sessions::forget_expired(tx, now).await?;
            sqlite::changes::compact(tx, removals_kept).await
        })
    });
    if let Some(floor) = compaction.await?.value {
        tracing::info!(floor, "the revision log was compacted");
    }
    app.gateways.save(&app.store).await
}
