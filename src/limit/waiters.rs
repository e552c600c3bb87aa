//! Workers with requests that wait for a token, by their shared queues: the sync wakes them when it has had an answer. Only a hint: their
//! ticks find out as well.

use crate::bytes::Reader;
use crate::host::{Expect, SharedData, Write};

/// Shared-data key of the list; the sync makes it.
pub const WAITERS_KEY: &str = "flamegate/pools/waiters";
/// Most queues in the list: more workers wait for their ticks.
const MAX_WAITERS: usize = 1_024;
const ATTEMPTS: u32 = 4;

/// The worker with this queue wants to be woken once. True when it stands in the list.
pub fn enlist<H: SharedData>(host: &H, queue: u32) -> bool {
    for _ in 0..ATTEMPTS {
        let Ok(Some(stored)) = host.read(WAITERS_KEY) else { return false };
        let mut queues = decode(&stored.bytes);
        if queues.contains(&queue) {
            return true;
        }
        if queues.len() >= MAX_WAITERS {
            return false;
        }
        queues.push(queue);
        let bytes: Vec<u8> = queues.iter().flat_map(|queue| queue.to_le_bytes()).collect();
        match host.write(WAITERS_KEY, &bytes, Expect::Version(stored.cas)) {
            Ok(Write::Stored) => return true,
            Ok(Write::Conflict) => {}
            Err(_) => return false,
        }
    }
    false
}

/// Wakes all that stand in the list.
pub fn wake_all<H: SharedData>(host: &H) {
    for _ in 0..ATTEMPTS {
        let Ok(Some(stored)) = host.read(WAITERS_KEY) else { return };
        if stored.bytes.is_empty() {
            return;
        }
        if host.write(WAITERS_KEY, b"", Expect::Version(stored.cas)) == Ok(Write::Stored) {
            decode(&stored.bytes).into_iter().for_each(|queue| host.wake(queue));
            return;
        }
    }
}

fn decode(bytes: &[u8]) -> Vec<u32> {
    let mut reader = Reader::new(bytes);
    std::iter::from_fn(|| reader.u32()).collect()
}
