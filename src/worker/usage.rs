//! What the keys of this worker's requests were used for, until it is handed over to the sync, once a second: how often each key had
//! which outcome, and a sample of the hashes that were refused, of which the control plane may know whose they were.
//!
//! On the request path counting is an addition in the worker's memory. What a VM loses when it traps is the last second.

mod active;
mod bag;
mod cells;
mod refused;
mod shadow;

use std::rc::Rc;

pub use self::active::MAX_ACTIVE;
pub use self::bag::{Bag, CountKey, RefusedKey, Tally};
pub use self::cells::{CELLS, SHADOW_CELL, append, append_to, cell_key, make_cells, take};
pub use self::refused::MAX_SAMPLED;

use self::active::Active;
use self::refused::Sample;
use self::shadow::Shadow;
use crate::contract::key::KeyHash;
use crate::contract::usage::UsageOutcome;
use crate::decision::fingerprint::Fingerprint;
use crate::decision::known_key::KnownKey;
use crate::host::{Monotonic, Now, SharedData, WallClock, Write};

/// The counts of one worker.
#[derive(Debug)]
pub struct Usage {
    active: Active,
    refused: Sample,
    shadow: Shadow,
    /// The minute, as the last tick saw it, and when counts were handed over last.
    minute: u32,
    is_synced: bool,
    handed_over: Monotonic,
    sampled: Monotonic,
}

/// Time between two hand-overs, in nanoseconds.
const PERIOD_NS: u64 = 1_000_000_000;
/// The same of the sample: nothing is lost with one but an observation, and random values fill it each time.
const SAMPLE_PERIOD_NS: u64 = 10_000_000_000;
const NANOS_PER_MINUTE: u64 = 60_000_000_000;

impl Usage {
    /// Nothing was counted yet. Where nobody takes counts away (`is_synced` is false) nothing ever is. `shadow` says whether everything
    /// passes in this worker's configuration.
    pub fn new(is_synced: bool, shadow: bool) -> Self {
        let (keys, hashes) = if is_synced { (MAX_ACTIVE, MAX_SAMPLED) } else { (0, 0) };
        Self {
            active: Active::new(keys),
            refused: Sample::new(hashes),
            shadow: Shadow::new(shadow),
            is_synced,
            minute: 0,
            handed_over: 0,
            sampled: 0,
        }
    }

    /// Counts a request of a key that is known.
    #[inline]
    pub fn count(&mut self, key: &Rc<KnownKey>, outcome: UsageOutcome) {
        self.active.count(key, outcome);
    }

    /// Counts a request with a value that was refused, if there is room for it in the sample. `hash` is asked only for a value that
    /// is new in it.
    pub fn refused(&mut self, value: Fingerprint, environment: bool, hash: impl FnOnce() -> Option<KeyHash>) {
        self.refused.count(value, environment, hash);
    }

    /// Counts a request that would have been refused for this reason and has passed in shadow. Its key, if it is known, was counted.
    pub fn shadowed(&mut self, reason: &'static str) {
        if self.is_synced {
            self.shadow.count(reason);
        }
    }

    /// Hands over what was counted, to the cell of this worker, once a second and at the end of a minute; the sample every ten seconds. What cannot be handed over
    /// stays for the next tick: there may be no sync yet.
    pub fn tick<H: SharedData>(&mut self, host: &H, worker: u64, now: Now) {
        let minute = minute_of(now.wall);
        let is_due = now.monotonic.saturating_sub(self.handed_over) >= PERIOD_NS;
        if is_due || minute != self.minute {
            let sample = now.monotonic.saturating_sub(self.sampled) >= SAMPLE_PERIOD_NS;
            self.hand_over(host, worker, now, sample);
        }
    }

    /// Hands over what was counted, and the sample when it is told so.
    pub fn hand_over<H: SharedData>(&mut self, host: &H, worker: u64, now: Now, sample: bool) {
        self.handed_over = now.monotonic;
        // What was counted since the last tick is of its minute.
        let minute = if self.minute == 0 { minute_of(now.wall) } else { self.minute };
        self.minute = minute_of(now.wall);
        let mut entries = Vec::new();
        self.active.write(&mut entries, minute);
        if sample {
            self.refused.write(&mut entries, minute);
        }
        if entries.is_empty() || append(host, worker, &entries) == Ok(Write::Stored) {
            for (key, counts) in self.active.keys() {
                self.shadow.take(key, minute, &counts);
            }
            self.active.clear();
            if sample {
                self.sampled = now.monotonic;
                self.refused.clear();
            }
        }
        self.shadow.hand_over(host, minute);
    }
}

/// Minutes since the Unix epoch.
fn minute_of(wall: WallClock) -> u32 {
    u32::try_from(wall / NANOS_PER_MINUTE).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
