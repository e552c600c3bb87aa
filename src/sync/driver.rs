//! Carries the sync out on a host: holds the lease, sends polls, applies pages, asks the roster whether the workers
//! follow.

use crate::config::SyncConfig;
use crate::host::{Callouts, Clock, HostError, Now, SharedData, random_u64};
use crate::metrics::{Counter, Counts};
use crate::record::is_name;
use crate::table::status::Status;
use crate::table::writer::{ApplyError, TableWriter};
use crate::worker::roster;

use super::lease::Lease;
use super::machine::{Effect, Event, Machine, POLL_GRACE_SECONDS, Position, Settings};
use super::wire::{ChangesQuery, Page};

/// One candidate for keeping the table.
#[derive(Debug)]
pub struct Driver {
    config: SyncConfig,
    gateway: String,
    lease: Lease,
    /// There while the lease is held.
    machine: Option<Machine>,
    writer: TableWriter,
    /// The call that the machine waits for.
    call: Option<u32>,
    was_failing: bool,
    /// Pages and failures until the next flush.
    pub counts: Counts,
}

/// A poll, ready to be sent. It holds the token, so it cannot be printed.
pub struct Call<'a> {
    /// Envoy cluster.
    pub cluster: &'a str,
    /// `:authority`.
    pub authority: &'a str,
    /// `:path`.
    pub path: String,
    /// The sync token.
    pub token: &'a str,
    /// Total time allowed, in milliseconds.
    pub timeout_ms: u32,
}

/// Why an answer is no page, in words for a log.
pub type Failure = String;

impl Driver {
    /// A candidate. `node` is Envoy's node id, used when the configuration names no gateway.
    pub fn new(config: SyncConfig, node: &str) -> Self {
        let named = if config.gateway.is_empty() { node } else { &config.gateway };
        let gateway: String =
            named.chars().filter(|c| is_name(c.encode_utf8(&mut [0; 4]))).take(48).collect();
        let gateway = if gateway.is_empty() { "envoy".to_owned() } else { gateway };
        Self {
            config,
            gateway,
            lease: Lease::new(),
            machine: None,
            writer: TableWriter::default(),
            call: None,
            was_failing: false,
            counts: Counts::default(),
        }
    }

    /// True while this candidate keeps the table.
    pub const fn is_leading(&self) -> bool {
        self.machine.is_some()
    }

    /// Call it on every tick.
    pub fn tick<H: SharedData + Clock + Callouts>(&mut self, host: &H) {
        let now = host.now();
        match self.lease.hold(host, now.monotonic) {
            Ok(Some(process)) => self.lead(host, process),
            Ok(None) => self.stand_back(),
            // Without shared data there is nothing to keep; the lease as last seen decides.
            Err(_) if self.lease.is_held(now.monotonic) => {}
            Err(_) => self.stand_back(),
        }
        if self.machine.is_none() {
            return;
        }
        let enforced = is_enforced(host, now).unwrap_or(false);
        if let Err(error) = self.writer.housekeeping(host, enforced) {
            log::debug!("flamegate: table housekeeping failed: {error:?}");
        }
        self.step(host, Event::Tick { enforced });
    }

    /// The answer to a call: the body of a 200, or why there is none.
    pub fn answer<H: SharedData + Clock + Callouts>(
        &mut self,
        host: &H,
        call: u32,
        answer: Result<&[u8], Failure>,
    ) {
        if self.call != Some(call) {
            return;
        }
        self.call = None;
        // Who lost the lease while the call was out must not write.
        if !self.lease.is_held(host.now().monotonic) {
            return self.stand_back();
        }
        let event = match answer.and_then(Page::parse) {
            Ok(page) => {
                self.counts.increment(Counter::SyncPages);
                Event::Page(page)
            }
            Err(failure) => self.failed(&failure),
        };
        self.step(host, event);
    }

    /// Gives the lease back, as when this plugin's configuration is replaced.
    pub fn retire<H: SharedData>(&mut self, host: &H) {
        self.stand_back();
        if let Err(error) = self.lease.release(host) {
            log::debug!("flamegate: lease was not released: {error}");
        }
    }

    fn lead<H: SharedData>(&mut self, host: &H, process: u32) {
        if self.machine.is_some() {
            return;
        }
        let position = match Status::read(host) {
            Ok(status) => status.map(|status| Position { epoch: status.epoch, revision: status.revision }),
            Err(_) => return,
        };
        let settings = Settings {
            gateway: format!("{}-{process:08x}", self.gateway),
            wait_seconds: self.config.wait_seconds,
            page_size: self.config.page_size,
            retry_ms: self.config.retry_ms,
        };
        log::info!("flamegate: sync leads as {}", settings.gateway);
        self.writer = TableWriter::default();
        self.machine = Some(Machine::new(settings, position));
    }

    fn stand_back(&mut self) {
        if self.machine.take().is_some() {
            log::info!("flamegate: sync stands back");
        }
        self.call = None;
    }

    fn step<H: SharedData + Clock + Callouts>(&mut self, host: &H, event: Event) {
        let mut event = event;
        // Ends: every effect but a poll that was sent leads to an event, and a failed one to a pause.
        loop {
            let now = host.now();
            let Some(machine) = self.machine.as_mut() else { return };
            let effect = machine.on(event, now.monotonic, random_u64());
            self.log_state_change();
            match effect {
                None => return,
                Some(Effect::Poll(query)) => match self.send(host, &query) {
                    Ok(call) => {
                        self.call = Some(call);
                        return;
                    }
                    Err(error) => event = self.failed(&format!("poll not sent: {error}")),
                },
                Some(effect) => {
                    let result = self.apply(host, effect, now);
                    if let Err(error) = result {
                        let _ = self.failed(&format!("page not applied: {error:?}"));
                    }
                    if result == Err(ApplyError::Contended) {
                        return self.retire(host);
                    }
                    event = Event::Applied(result);
                }
            }
        }
    }

    fn apply<H: SharedData>(&mut self, host: &H, effect: Effect, now: Now) -> Result<(), ApplyError> {
        match effect {
            Effect::ApplyDifference(page) => self.writer.apply_difference(host, &page, now).map(drop),
            Effect::ApplyReset { page, after } => {
                let status = self.writer.apply_reset(host, &page, after, now)?;
                if let Some(status) = status {
                    log::info!(
                        "flamegate: table received: {} keys, revision {}",
                        status.keys,
                        status.revision
                    );
                }
                Ok(())
            }
            Effect::Confirm => TableWriter::confirm(host, now),
            Effect::Poll(_) => Ok(()),
        }
    }

    fn send<H: Callouts>(&self, host: &H, query: &ChangesQuery) -> Result<u32, HostError> {
        let seconds = self.config.wait_seconds.saturating_add(POLL_GRACE_SECONDS);
        host.call(&Call {
            cluster: &self.config.cluster,
            authority: &self.config.authority,
            path: query.to_path(),
            token: &self.config.token,
            timeout_ms: seconds.saturating_mul(1_000),
        })
    }

    fn failed(&mut self, failure: &str) -> Event {
        self.counts.increment(Counter::SyncFailures);
        log::debug!("flamegate: sync failed: {failure}");
        if !self.was_failing {
            log::warn!("flamegate: sync failed, the last good table stays: {failure}");
        }
        Event::Failed
    }

    fn log_state_change(&mut self) {
        let failing = self.machine.as_ref().is_some_and(Machine::is_failing);
        if self.was_failing && !failing {
            log::info!("flamegate: sync works again");
        }
        self.was_failing = failing;
    }
}

/// True when every live worker enforces the table as `status` says it is.
fn is_enforced<H: SharedData>(host: &H, now: Now) -> Result<bool, HostError> {
    let Some(status) = Status::read(host)? else { return Ok(true) };
    Ok(roster::all_enforce(&roster::read(host)?, (status.incarnation, status.sequence), now.monotonic))
}

#[cfg(test)]
mod tests;
