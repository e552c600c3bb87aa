//! The receipt of a change as the pages show it.

use std::time::{Duration, Instant};

use super::session::SignedIn;
use crate::domain::gateways::{GatewayReceipt, Receipt};
use crate::http::app::App;

/// Which gateways enforce a change: how many for everybody, which ones for operators.
pub(super) struct ReceiptView {
    pub total: usize,
    pub enforced: usize,
    pub slowest_ms: Option<u64>,
    pub pending: usize,
    pub cut_off: usize,
    /// Control planes that have not said that they know of the change.
    pub replicas: usize,
    pub names: Option<Names>,
}

/// The gateways of a receipt by their names.
pub(super) struct Names {
    pub gateways: Vec<GatewayReceipt>,
    pub pending: Vec<String>,
    pub cut_off: Vec<String>,
}

impl ReceiptView {
    /// The receipt of a revision that was `committed` just now, at most `longest` later. Gateways may take all of that time, so who
    /// waits for them has no place for pages meanwhile; and who has many receipts to wait for sees the next as it is now.
    pub async fn wait(
        app: &App,
        signed_in: &SignedIn,
        revision: u64,
        committed: Option<Instant>,
        longest: Duration,
    ) -> Self {
        let waits = app.receipt_slots.take(&signed_in.user.seq);
        let longest = if waits.is_some() { longest } else { Duration::ZERO };
        if let Some(slot) = &signed_in.slot {
            slot.give_back();
        }
        Self::new(app.receipt(revision, committed, longest).await, signed_in)
    }

    /// As much of it as the person there may see.
    pub fn new(mut receipt: Receipt, signed_in: &SignedIn) -> Self {
        // Who has to be looked after comes first.
        receipt.gateways.sort_by_key(|gateway| gateway.enforced);
        let pending = receipt.pending();
        Self {
            total: receipt.gateways.len(),
            enforced: receipt.enforced(),
            slowest_ms: receipt.slowest_ms(),
            pending: pending.len(),
            cut_off: receipt.cut_off.len(),
            replicas: receipt.replicas.len(),
            names: signed_in.user.is_operator.then_some(Names {
                pending,
                cut_off: receipt.cut_off,
                gateways: receipt.gateways,
            }),
        }
    }

    /// True when there are gateways, all of them enforce the change, and nobody else can have come to another control plane.
    pub const fn is_complete(&self) -> bool {
        self.total > 0 && self.pending == 0 && self.replicas == 0
    }
}
