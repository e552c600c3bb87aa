//! What the machine asks for, done on the host: pages are applied, polls are sent, and what became of it is counted and logged.

use super::Driver;
use crate::config::SyncMode;
use crate::contract::page::ChangesQuery;
use crate::decision::metrics::Counter;
use crate::host::{Call, Callouts, HostError, Monotonic, Now, SharedData, random_u64};
use crate::sync::followers::served_by;
use crate::sync::machine::{Effect, Machine};
use crate::sync::patience::POLL_GRACE_SECONDS;
use crate::table::status::Status;
use crate::table::writer::{ApplyError, TableWriter};
use crate::worker::stale;

/// After this many failures in a row an elected candidate leaves the lease to others for a while.
const FAILURES_BEFORE_REST: u32 = 8;
/// How long it does, in nanoseconds, and as much again by chance.
const REST_NS: u64 = 5_000_000_000;

/// Longest hold of a poll while no worker has the table, in seconds.
const ALONE_WAIT_SECONDS: u32 = 2;

/// The host's status for what is not there.
const NOT_FOUND: u32 = 1;

impl Driver {
    pub(super) fn apply<H: SharedData>(
        &mut self,
        host: &H,
        effect: Effect,
        now: Now,
    ) -> Result<(), ApplyError> {
        match effect {
            Effect::ApplyDifference(page) => {
                let status = self.writer.apply_difference(host, &page, now)?;
                self.reports.table(&status, &mut self.counts);
                Ok(())
            }
            Effect::ApplyReset { page, after } => {
                let status = self.writer.apply_reset(host, &page, after, now)?;
                if let Some(status) = status {
                    let Status { keys, revision, .. } = status;
                    log::info!("flamegate: table received: {keys} keys, revision {revision}");
                    self.reports.table(&status, &mut self.counts);
                }
                Ok(())
            }
            Effect::Confirm => {
                let position = self.machine.as_ref().and_then(Machine::position);
                TableWriter::confirm(host, position.map_or("", |position| &position.epoch), now)
            }
            Effect::Poll(_) => Ok(()),
        }
    }

    pub(super) fn send<H: SharedData + Callouts>(
        &self,
        host: &H,
        query: ChangesQuery,
        now: Now,
    ) -> Result<u32, HostError> {
        let Some(session) = &self.session else { return Err(HostError(NOT_FOUND)) };
        let seconds = query.wait.saturating_add(POLL_GRACE_SECONDS);
        let stale = stale::is_told(host, now.monotonic);
        let workers = served_by(host, now.monotonic);
        let wait = match workers {
            // Whoever refuses requests until an answer comes does not ask for it to be held back.
            _ if stale => 0,
            // The first worker is news, too.
            Some(0) => query.wait.min(ALONE_WAIT_SECONDS),
            _ => query.wait,
        };
        let query = ChangesQuery { stale, workers, wait, ..query };
        host.call(&Call {
            cluster: &self.config.cluster,
            authority: &self.config.authority,
            path: query.to_path(),
            token: &self.config.token,
            session,
            body: None,
            timeout_ms: seconds.saturating_mul(1_000),
        })
    }

    /// A candidate that cannot reach its control plane makes room: another one may have a configuration that works.
    pub(super) fn rest_after_failures<H: SharedData>(&mut self, host: &H, now: Monotonic) {
        let failing = self.machine.as_ref().is_some_and(|machine| machine.failures() >= FAILURES_BEFORE_REST);
        if self.config.mode == SyncMode::Elected && failing {
            self.retire(host);
            let jitter = random_u64().checked_rem(REST_NS).unwrap_or(0);
            self.resting_until = now.saturating_add(REST_NS).saturating_add(jitter);
        }
    }

    pub(super) fn failed(&mut self, why: String, now: Monotonic) {
        self.counts.increment(Counter::SyncFailures);
        self.reports.failed(why, now);
    }

    pub(super) fn log_state_change(&mut self) {
        let failing = self.machine.as_ref().is_none_or(|machine| machine.failures() > 0);
        if !failing && self.call.is_none() {
            self.reports.works();
        }
    }
}
