//! Workers tell the sync that they refuse requests because the table was not confirmed for `max_staleness_seconds`. The sync's own
//! configuration need not have that, and the control plane must not take a gateway for up to date that answers 503.

use crate::bytes::Reader;
use crate::host::{Expect, Monotonic, SharedData};
use crate::table::status::Status;

/// Shared-data key of what they tell.
pub const STALE_KEY: &str = "flamegate/stale";
/// A worker that refuses says so again after this time, in nanoseconds.
const RENEW_NS: u64 = 500_000_000;
/// What was said longer ago no longer counts, in nanoseconds.
const FORGOTTEN_AFTER_NS: u64 = 2_000_000_000;
const VERSION: u8 = 1;

/// When this worker last said that it refuses.
#[derive(Debug, Default)]
pub struct Telling(Option<Monotonic>);

impl Telling {
    /// Says it. Best effort: one of the workers is enough, and the next tick tries again.
    pub fn tell<H: SharedData>(&mut self, host: &H, now: Monotonic) {
        if self.0.is_some_and(|told| now.saturating_sub(told) < RENEW_NS) {
            return;
        }
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&now.to_le_bytes());
        self.0 = host.write(STALE_KEY, &bytes, Expect::Any).is_ok().then_some(now);
    }
}

/// True when a worker said so lately, and the table was not confirmed since.
pub fn is_told<H: SharedData>(host: &H, now: Monotonic) -> bool {
    let Ok(Some(stored)) = host.read(STALE_KEY) else { return false };
    let Some(told) = decode(&stored.bytes).filter(|told| now.saturating_sub(*told) < FORGOTTEN_AFTER_NS)
    else {
        return false;
    };
    Status::read(host).ok().flatten().is_some_and(|status| status.synced.monotonic < told)
}

fn decode(bytes: &[u8]) -> Option<Monotonic> {
    let mut reader = Reader::new(bytes);
    let told = (reader.u8()? == VERSION).then(|| reader.u64())??;
    reader.end()?;
    Some(told)
}
