//! What a worker tells the sync of its process: that something is so, now and again while it is. One value in shared data for each such thing;
//! one of the workers that say it is enough.

use crate::bytes::Reader;
use crate::host::{Expect, Monotonic, SharedData};

const VERSION: u8 = 1;

/// When this worker last said it.
#[derive(Debug)]
pub struct Telling {
    key: &'static str,
    renew_ns: u64,
    told: Option<Monotonic>,
}

impl Telling {
    /// Of what lies under this key; said again after this time, in nanoseconds.
    pub const fn new(key: &'static str, renew_ns: u64) -> Self {
        Self { key, renew_ns, told: None }
    }

    /// Says it. Best effort: the next tick tries again.
    pub fn tell<H: SharedData>(&mut self, host: &H, now: Monotonic) {
        if self.told.is_some_and(|told| now.saturating_sub(told) < self.renew_ns) {
            return;
        }
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&now.to_le_bytes());
        self.told = host.write(self.key, &bytes, Expect::Any).is_ok().then_some(now);
    }
}

/// When a worker last said what lies under this key, if that is less than so many nanoseconds ago.
pub fn last_told<H: SharedData>(
    host: &H,
    key: &str,
    now: Monotonic,
    counts_for_ns: u64,
) -> Option<Monotonic> {
    let stored = host.read(key).ok()??;
    decode(&stored.bytes).filter(|told| now.saturating_sub(*told) < counts_for_ns)
}

fn decode(bytes: &[u8]) -> Option<Monotonic> {
    let mut reader = Reader::new(bytes);
    let told = (reader.u8()? == VERSION).then(|| reader.u64())??;
    reader.end()?;
    Some(told)
}
