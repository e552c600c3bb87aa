//! Workers whose configuration is in shadow tell the sync, which tells the control plane: whoever is about to enforce has to see which
//! gateways do not yet. A key in shadow is not meant; the control plane has put it there.

use super::telling::{Telling, last_told};
use crate::host::{Monotonic, SharedData};

/// Shared-data key of what they tell.
pub const SHADOW_KEY: &str = "flamegate/shadow";
/// A worker in shadow says so again after this time, in nanoseconds.
const RENEW_NS: u64 = 1_000_000_000;
/// What was said longer ago no longer counts, in nanoseconds.
const FORGOTTEN_AFTER_NS: u64 = 5_000_000_000;

/// What a worker needs to say it.
pub const fn telling() -> Telling {
    Telling::new(SHADOW_KEY, RENEW_NS)
}

/// True when a worker said so lately.
pub fn is_told<H: SharedData>(host: &H, now: Monotonic) -> bool {
    last_told(host, SHADOW_KEY, now, FORGOTTEN_AFTER_NS).is_some()
}
