//! The receipt of a change: which gateways enforce it, how fast, and which do not yet.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time;

use super::Gateways;

/// Who enforces a revision. A gateway that does not answer is listed, never left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The revision of the change.
    pub revision: u64,
    /// Each gateway that was connected when the change was committed, in order of names.
    pub gateways: Vec<GatewayReceipt>,
    /// Known gateways that were not connected: should one still run, it takes the change when it comes back.
    pub disconnected: Vec<String>,
}

/// One gateway's line of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayReceipt {
    /// The gateway's name.
    pub id: String,
    /// True when every worker of it enforces the change.
    pub enforced: bool,
    /// Milliseconds from the commit to the acknowledgement, rounded up; `None` when it is not enforced or was not timed.
    pub ms: Option<u64>,
}

impl Receipt {
    /// How many gateways enforce the change.
    pub fn enforced(&self) -> usize {
        self.gateways.iter().filter(|gateway| gateway.enforced).count()
    }

    /// Names of the gateways that do not enforce it yet.
    pub fn pending(&self) -> Vec<String> {
        self.gateways.iter().filter(|gateway| !gateway.enforced).map(|gateway| gateway.id.clone()).collect()
    }

    /// The slowest acknowledgement in milliseconds.
    pub fn slowest_ms(&self) -> Option<u64> {
        self.gateways.iter().filter_map(|gateway| gateway.ms).max()
    }
}

impl Gateways {
    /// Waits until every gateway that is connected now enforces `revision`, at most for `wait` and not beyond a
    /// shutdown. `committed` is when the change was committed, if it was just now.
    pub async fn receipt(
        &self,
        revision: u64,
        committed: Option<Instant>,
        wait: Duration,
        mut shutdown: watch::Receiver<bool>,
    ) -> Receipt {
        let mut news = self.inner.news.subscribe();
        let (expected, disconnected) = self.split_by_connection();
        let all_enforce = async {
            while !self.line_up(&expected, revision, committed).iter().all(|gateway| gateway.enforced) {
                // The sender lives as long as `self`.
                if news.changed().await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = all_enforce => {}
            () = time::sleep(wait) => {}
            _ = shutdown.wait_for(|down| *down) => {}
        }
        Receipt { revision, gateways: self.line_up(&expected, revision, committed), disconnected }
    }

    /// Names of the connected gateways and of the others, each in order.
    fn split_by_connection(&self) -> (Vec<String>, Vec<String>) {
        let (connected, others): (Vec<_>, Vec<_>) =
            self.list().into_iter().partition(|gateway| gateway.connected);
        let names =
            |gateways: Vec<super::GatewayView>| gateways.into_iter().map(|gateway| gateway.id).collect();
        (names(connected), names(others))
    }

    fn line_up(&self, names: &[String], revision: u64, committed: Option<Instant>) -> Vec<GatewayReceipt> {
        let gateways = self.inner.lock();
        let line = |id: &String| {
            let ack = gateways.get(id).and_then(|gateway| gateway.covering(revision));
            let ms = ack.zip(committed).map(|(ack, from)| ceil_ms(ack.at.saturating_duration_since(from)));
            GatewayReceipt { id: id.clone(), enforced: ack.is_some(), ms }
        };
        names.iter().map(line).collect()
    }
}

fn ceil_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}
