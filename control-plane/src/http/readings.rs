//! What anyone may ask of the whole: whether it is ready, and its metrics. Both cost a look at the database, so what was seen a moment ago
//! is said again.

use std::sync::Arc;
use std::time::Duration;

use super::app::App;
use super::app::readings::{Counted, Readiness};
use crate::domain::error::Error;
use crate::domain::keys::{KeyCounts, NoticeCounts};
use crate::service::metrics::Reading;
use crate::store::Purpose;

/// How long counted keys are good.
const COUNT_AGE: Duration = Duration::from_secs(10);
/// Counting takes at most one part in so many of the time, however many keys there are.
const COUNT_SHARE: u32 = 20;
/// How long the answer about the database is good.
const READINESS_AGE: Duration = Duration::from_secs(1);

impl App {
    /// Whether the database can be written and the server is not going down. Anyone may ask, and looking costs a write,
    /// so it is done at most once per second.
    pub async fn is_ready(&self) -> bool {
        if *self.shutdown.borrow() {
            return false;
        }
        let mut last = Arc::clone(&self.readiness).lock_owned().await;
        let now = self.clock.instant();
        if let Some(last) =
            last.as_ref().filter(|last| now.saturating_duration_since(last.at) < READINESS_AGE)
        {
            return last.writable;
        }
        // To its end even when who asked has gone: otherwise whoever asks and goes makes a write each time.
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let look = tokio::spawn(async move {
            let checked = store.check_writable().await;
            if let Err(error) = &checked {
                tracing::error!(cause = ?std::error::Error::source(error), "the database cannot be written");
            }
            // As of now: a database that is locked takes longer to say so than the answer is good for.
            *last = Some(Readiness { at: clock.instant(), writable: checked.is_ok() });
            checked.is_ok()
        });
        look.await.unwrap_or(false)
    }

    /// The metrics as text.
    pub async fn metrics_text(&self) -> Result<Vec<u8>, Error> {
        let (gateways, polls) = self.gateways.states();
        let (serving_nobody, in_shadow) = (self.gateways.serving_nobody(), self.gateways.in_shadow());
        let ((keys, notices), revision) = (self.key_counts().await?, self.store.head().revision);
        let connections = self.connections.census();
        let replicas = self.gateways.replicas().iter().filter(|replica| replica.is_alive()).count().max(1);
        self.metrics.render(&Reading {
            keys,
            notices,
            revision,
            gateways,
            serving_nobody,
            in_shadow,
            polls,
            replicas,
            clock_ahead: self.clock.ahead().as_secs_f64(),
            unverified: self.is_unverified,
            connections,
        })
    }

    /// Counts the keys by state, or says what was counted a moment ago: that looks at every key, and anyone may ask. Those who
    /// ask meanwhile wait for the one who counts.
    async fn key_counts(&self) -> Result<(KeyCounts, NoticeCounts), Error> {
        let mut last = Arc::clone(&self.counted).lock_owned().await;
        let began = self.clock.instant();
        if let Some(last) = last.as_ref().filter(|last| began < last.until) {
            return Ok(last.keys);
        }
        // To its end, as above.
        let (store, clock) = (self.store.reading_for(Purpose::Metrics), self.clock.clone());
        let (keys, usage) = (self.keys.over(store.clone()), self.usage.over(store));
        let count = tokio::spawn(async move {
            let keys = (keys.counts().await?, usage.count_notices().await?);
            let now = clock.instant();
            let age = COUNT_AGE.max(now.saturating_duration_since(began) * COUNT_SHARE);
            *last = Some(Counted { until: now + age, keys });
            Ok(keys)
        });
        count.await.map_err(Error::internal)?
    }
}
