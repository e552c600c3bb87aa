//! The receipt of a change as the pages show it.

use crate::gateways::{GatewayReceipt, Receipt};

/// Which gateways enforce a change.
pub(super) struct ReceiptView {
    pub gateways: Vec<GatewayReceipt>,
    pub enforced: usize,
    pub slowest_ms: Option<u64>,
    pub pending: Vec<String>,
    pub disconnected: Vec<String>,
}

impl ReceiptView {
    pub fn new(receipt: Receipt) -> Self {
        Self {
            enforced: receipt.enforced(),
            slowest_ms: receipt.slowest_ms(),
            pending: receipt.pending(),
            disconnected: receipt.disconnected,
            gateways: receipt.gateways,
        }
    }

    /// True when there are gateways and all of them enforce the change.
    pub fn is_complete(&self) -> bool {
        !self.gateways.is_empty() && self.pending.is_empty()
    }
}
