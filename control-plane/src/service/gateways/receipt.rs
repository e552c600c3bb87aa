//! The receipt of a change: which gateways enforce it, how fast, and which do not yet.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time;

use super::inner::Inner;
use super::service::Gateways;
use super::shared::Shared;
use crate::domain::gateways::{GatewayReceipt, Receipt};

/// How often a receipt looks again without news: nobody tells that a gateway's time is over.
const LOOKS_AGAIN: Duration = Duration::from_secs(1);
/// With several replicas, how long a receipt waits at least: what they say is read once.
const ONE_LOOK: Duration = Duration::from_millis(250);

impl Gateways {
    /// Waits until every gateway that is connected enforces `revision`, at most for `wait` and not beyond a shutdown.
    /// Who comes back meanwhile counts; who is cut off is not waited for. `committed` is when the change was committed, if
    /// it was just now.
    pub async fn receipt(
        &self,
        revision: u64,
        committed: Option<Instant>,
        wait: Duration,
        mut shutdown: watch::Receiver<bool>,
    ) -> Receipt {
        let mut news = self.inner.news.subscribe();
        let turn = self.begin_receipt();
        let _waits = turn.map(|_| Waits::of(&self.inner));
        let wait = if turn.is_some() { wait.max(ONE_LOOK) } else { wait };
        let all_enforce = async {
            while self.is_anybody_pending(revision, turn) {
                // The sender lives as long as `self`.
                if let Ok(Err(_)) = time::timeout(LOOKS_AGAIN, news.changed()).await {
                    break;
                }
            }
        };
        tokio::select! {
            () = all_enforce => {}
            () = time::sleep(wait) => {}
            _ = shutdown.wait_for(|down| *down) => {}
        }
        self.line_up(revision, committed, turn)
    }

    /// Who enforces a revision now, without waiting and without asking other replicas: whom they have heard of is there already.
    pub fn standing(&self, revision: u64, committed: Option<Instant>) -> Receipt {
        self.line_up(revision, committed, None)
    }

    /// Changes with every acknowledgement.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.news.subscribe()
    }

    /// True when a connected gateway does not enforce the revision. Looked at with every acknowledgement, so it ends at the first.
    fn is_anybody_pending(&self, revision: u64, turn: Option<u64>) -> bool {
        let now = self.inner.clock.instant();
        let gateways = self.inner.registry.lock();
        gateways.iter().any(|(_, gateway)| gateway.is_connected(now) && gateway.covering(revision).is_none())
            || !gateways.behind(revision, turn).is_empty()
    }

    /// With several replicas, what they say has to be from now on.
    fn begin_receipt(&self) -> Option<u64> {
        self.inner.registry.lock().shared.as_mut().map(Shared::begin_receipt)
    }

    /// The receipt as of now.
    pub(super) fn line_up(&self, revision: u64, committed: Option<Instant>, turn: Option<u64>) -> Receipt {
        let now = self.inner.clock.instant();
        let mut receipt = Receipt { revision, ..Receipt::default() };
        let gateways = self.inner.registry.lock();
        receipt.replicas = gateways.behind(revision, turn);
        for (id, gateway) in gateways.iter() {
            let ack = gateway.covering(revision);
            if gateway.is_connected(now) {
                let ms =
                    ack.zip(committed).map(|(ack, from)| ceil_ms(ack.at.saturating_duration_since(from)));
                receipt.gateways.push(GatewayReceipt { id: id.clone(), enforced: ack.is_some(), ms });
            } else if ack.is_none() && !gateway.is_leaving(now) {
                receipt.cut_off.push(id.clone());
            }
        }
        drop(gateways);
        receipt.gateways.sort_by(|a, b| a.id.cmp(&b.id));
        receipt.cut_off.sort();
        receipt
    }
}

/// Somebody waits for a receipt. Meanwhile the other replicas are looked at often.
struct Waits(Arc<Inner>);

impl Waits {
    fn of(inner: &Arc<Inner>) -> Self {
        inner.waiting.fetch_add(1, Ordering::Relaxed);
        inner.to_exchange.notify_one();
        Self(Arc::clone(inner))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn ceil_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}
