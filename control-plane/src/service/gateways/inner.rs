//! What all clones of the registry share.

use std::sync::MutexGuard;
use std::sync::atomic::AtomicUsize;

use tokio::sync::{Notify, watch};

use super::registry::{Entries, Registry};
use crate::service::clock::Clock;

/// What they share.
pub(super) struct Inner {
    pub(super) clock: Clock,
    pub(super) registry: Registry,
    /// Changes with every acknowledgement; receipts wait on it.
    pub(super) news: watch::Sender<u64>,
    /// There is somebody who is not stored and should be.
    pub(super) unsaved: Notify,
    /// With several replicas: there is something to tell the others, or to hear of them.
    pub(super) to_exchange: Notify,
    /// With several replicas: how often something was told and heard.
    pub(super) exchanged: watch::Sender<u64>,
    /// How many receipts wait.
    pub(super) waiting: AtomicUsize,
}

impl Inner {
    /// Lets the map go; what is news is told to the other replicas, where there are some.
    pub(super) fn tell(&self, gateways: MutexGuard<'_, Entries>, is_news: bool) {
        let tells = is_news && gateways.shared.is_some();
        drop(gateways);
        if tells {
            self.to_exchange.notify_one();
        }
    }
}
