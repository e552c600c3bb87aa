//! Whether this gateway can answer requests with a key: for probes and balancers, which ask `readiness_path`.

use crate::host::{Clock, SharedData};

use super::memory::Worker;
use super::roster;

impl Worker {
    /// True once the table is there and every live worker has it, as long as it is not too old to be relied on; always without a
    /// control plane. Shared data is asked once per tick at most, however often strangers ask.
    pub fn is_ready<H: SharedData + Clock>(&mut self, host: &H) -> bool {
        if self.config.sync.is_none() {
            return true;
        }
        // The table's age moves without a tick.
        if self.check_staleness().is_err() {
            return false;
        }
        if let Some(known) = self.ready {
            return known;
        }
        let ready = self.everybody_has_the_table(host);
        self.ready = Some(ready);
        ready
    }

    fn everybody_has_the_table<H: SharedData + Clock>(&mut self, host: &H) -> bool {
        // A worker that has not ticked yet is not in the roster; it looks for the table with its first request.
        if self.status.is_none() {
            if self.refresh(host).is_err() || self.status.is_none() {
                return false;
            }
            // From here on the cache may hold a record, so this worker counts for acknowledgements.
            self.now = host.now();
            self.announce(host);
        }
        let Some(status) = &self.status else { return false };
        let any = (status.incarnation, 0);
        let now = self.now.monotonic;
        let me = self.presence.worker();
        roster::read(host).is_ok_and(|mut roster| {
            roster.retain(|entry| entry.worker != me);
            roster::all_enforce(&roster, any, now)
        })
    }
}

#[cfg(test)]
mod tests;
