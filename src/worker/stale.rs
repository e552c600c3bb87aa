//! Workers tell the sync that they refuse requests because the table was not confirmed for `max_staleness_seconds`. The sync's own
//! configuration need not have that, and the control plane must not take a gateway for up to date that answers 503.

use super::telling::{Telling, last_told};
use crate::host::{Monotonic, SharedData};
use crate::table::status::Status;

/// Shared-data key of what they tell.
pub const STALE_KEY: &str = "flamegate/stale";
/// A worker that refuses says so again after this time, in nanoseconds.
const RENEW_NS: u64 = 500_000_000;
/// What was said longer ago no longer counts, in nanoseconds.
const FORGOTTEN_AFTER_NS: u64 = 2_000_000_000;

/// What a worker needs to say it.
pub const fn telling() -> Telling {
    Telling::new(STALE_KEY, RENEW_NS)
}

/// True when a worker said so lately, and the table was not confirmed since.
pub fn is_told<H: SharedData>(host: &H, now: Monotonic) -> bool {
    let Some(told) = last_told(host, STALE_KEY, now, FORGOTTEN_AFTER_NS) else { return false };
    Status::read(host).ok().flatten().is_some_and(|status| status.synced.monotonic < told)
}
