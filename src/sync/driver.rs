//! Carries the sync out on a host: holds the lease, sends polls, applies pages, asks the roster whether the workers
//! follow.

use sha2::{Digest as _, Sha256};

use crate::config::{SyncConfig, SyncMode};
use crate::contract::key::KeyHash;
use crate::contract::record::is_name;
use crate::decision::metrics::{Counter, Counts, FLEET_GAUGES};
use crate::host::{Callouts, Clock, HostError, Monotonic, Now, SharedData, random_u64};
use crate::table::status::Status;
use crate::table::writer::{ApplyError, TableWriter};
use crate::worker::{in_shadow, stale};

use super::failure::{Failure, Kind};
use super::followers::{is_enforced, served_by, understood_by};
use super::lease::Lease;
use super::lender::{self, Lender};
use super::machine::{Effect, Event, Machine, Settings};
use super::no_table;
use super::patience::POLL_GRACE_SECONDS;
use super::reports::Reports;
use super::session;
use super::tagged_position::{self, Tagged};
use super::usage::{ANSWER_MS, Poster};
use crate::contract::leases::LEASES_PATH;
use crate::contract::page::{ChangesQuery, Page};
use crate::contract::session::Session;
use crate::contract::usage::USAGE_PATH;
use crate::host::Call;

/// One candidate for keeping the table.
#[derive(Debug)]
pub struct Driver {
    config: SyncConfig,
    gateway: String,
    lease: Lease,
    /// There while the lease is held.
    machine: Option<Machine>,
    /// The process's secret; there while the lease is held.
    session: Option<Session>,
    tagged: Tagged,
    /// Lends the fleet's tokens; there while the lease is held.
    lender: Option<Lender>,
    /// Posts what keys were used for; there while the lease is held.
    poster: Option<Poster>,
    /// The process's random name and the shared data's incarnation that the machine started from.
    basis: Option<(u32, Option<u64>)>,
    /// Until when this candidate leaves the lease to others, after it failed too often.
    resting_until: Monotonic,
    writer: TableWriter,
    /// The call that the machine waits for.
    call: Option<u32>,
    reports: Reports,
    vm_id: Option<String>,
    /// Pages and failures until the next flush.
    pub counts: Counts,
}

/// After this many failures in a row an elected candidate leaves the lease to others for a while.
const FAILURES_BEFORE_REST: u32 = 8;
/// How long it does, in nanoseconds, and as much again by chance.
const REST_NS: u64 = 5_000_000_000;

/// Longest hold of a poll while no worker has the table, in seconds.
const ALONE_WAIT_SECONDS: u32 = 2;

/// Name of the shared queue that wakes the leader.
const QUEUE: &str = "flamegate/sync";
/// The host's status for what is not there.
const NOT_FOUND: u32 = 1;

impl Driver {
    /// A candidate, configured at `born`. `node` is Envoy's node id, used when the configuration names no gateway.
    pub fn new(config: SyncConfig, node: &str, born: Monotonic) -> Self {
        let source = source_of(&config);
        let named = if config.gateway.is_empty() { node } else { &config.gateway };
        let gateway: String =
            named.chars().filter(|c| is_name(c.encode_utf8(&mut [0; 4]))).take(48).collect();
        let gateway = if gateway.is_empty() { "envoy".to_owned() } else { gateway };
        Self {
            config,
            gateway,
            lease: Lease::new(source, born),
            machine: None,
            session: None,
            tagged: Tagged::default(),
            lender: None,
            poster: None,
            basis: None,
            resting_until: 0,
            writer: TableWriter::default(),
            call: None,
            reports: Reports::default(),
            vm_id: None,
            counts: Counts::default(),
        }
    }

    /// The same, with the `vm_id` that its line in the log says: who reads it compares it with the filter's.
    #[must_use]
    pub fn in_vm(self, vm_id: Option<String>) -> Self {
        Self { vm_id, ..self }
    }

    /// True while this candidate keeps the table.
    pub const fn is_leading(&self) -> bool {
        self.machine.is_some()
    }

    /// Call it on every tick.
    pub fn tick<H: SharedData + Clock + Callouts>(&mut self, host: &H) {
        let now = host.now();
        // Without shared data there is nothing to keep and nothing to decide on.
        let Ok(status) = Status::read(host) else { return };
        self.reports.tell(status.is_some(), now.monotonic);
        if now.monotonic < self.resting_until {
            return;
        }
        match self.lease.hold(host, now.monotonic) {
            Ok(Some(process)) => self.lead(host, process, status.as_ref()),
            Ok(None) | Err(_) => self.stand_back(),
        }
        if self.machine.is_none() {
            return;
        }
        let enforced = status.as_ref().is_some_and(|status| is_enforced(host, status, now));
        self.writer.adopt_leftovers(status.as_ref());
        match self.writer.housekeeping(host, enforced) {
            Ok(()) => {}
            Err(ApplyError::Contended) => return self.retire(host),
            // A hole in the table: only a whole one mends that.
            Err(ApplyError::NoTable) => drop(Status::invalidate(host)),
            Err(error) => log::debug!("flamegate: table housekeeping failed: {error:?}"),
        }
        self.step(host, Event::Tick { enforced });
        self.post_usage(host, now);
        self.lend(host, now);
        self.rest_after_failures(host, now.monotonic);
    }

    /// The answer to a call: the body of a 200, or why there is none.
    pub fn answer<H: SharedData + Clock + Callouts>(
        &mut self,
        host: &H,
        call: u32,
        answer: Result<&[u8], Failure>,
    ) {
        let of_usage = self.poster.as_ref().is_some_and(|poster| poster.waits_for(call));
        let of_tokens = self.lender.as_ref().is_some_and(|lender| lender.waits_for(call));
        if self.call != Some(call) && !of_usage && !of_tokens {
            return;
        }
        if self.call == Some(call) {
            self.call = None;
        }
        // Who lost the lease while the call was out must not write; shared data knows, not the own memory.
        if !matches!(self.lease.hold(host, host.now().monotonic), Ok(Some(_))) {
            return self.stand_back();
        }
        if let Some(poster) = self.poster.as_mut().filter(|_| of_usage) {
            return poster.answered(host, answer, host.now().monotonic, &mut self.counts);
        }
        if let Some(lender) = self.lender.as_mut().filter(|_| of_tokens) {
            return lender.answered(host, call, answer, host.now().monotonic, &mut self.counts);
        }
        let event = match answer
            .and_then(|body| Page::parse(body).map_err(|why| Failure::new(Kind::Unreadable, why)))
        {
            Ok(page) => {
                self.counts.increment(Counter::SyncPages);
                Event::Page(page)
            }
            Err(failure) => {
                self.failed(failure.why, host.now().monotonic);
                if failure.kind == Kind::Unauthorized {
                    self.counts.increment(Counter::SyncUnauthorized);
                }
                Event::Failed(failure.kind)
            }
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

    /// Starts to lead, or starts over when shared data is not what the machine knows: lost, or marked as damaged.
    fn lead<H: SharedData + Clock>(&mut self, host: &H, process: u32, status: Option<&Status>) {
        let incarnation = status.map(|status| status.incarnation);
        let mut resets_in_a_row = 0;
        if let Some(machine) = &self.machine {
            let same_process = self.basis.is_some_and(|(known, _)| known == process);
            let same_data = self.basis.is_some_and(|(_, known)| known.is_none() || known == incarnation);
            let epoch = status.map(|status| status.epoch.as_str());
            if same_process
                && same_data
                && machine.position().is_none_or(|known| Some(known.epoch.as_str()) == epoch)
            {
                self.basis = Some((process, incarnation));
                return;
            }
            log::warn!("flamegate: the key table was lost or damaged, a whole one is asked for");
            resets_in_a_row = machine.resets_in_a_row();
            self.stand_back();
        }
        // Nobody may be asked in another process's name; the next tick tries again.
        let Ok(Some(session)) = session::obtain(host) else { return };
        self.session = Some(session);
        self.basis = Some((process, incarnation));
        let whole = status.filter(|status| !status.epoch.is_empty());
        let position = whole.map(|status| tagged_position::position(host, status));
        self.tagged = Tagged::from(position.as_ref());
        let settings = Settings {
            gateway: format!("{}-{process:08x}", self.gateway),
            wait_seconds: self.config.wait_seconds,
            page_size: self.config.page_size,
            // A table that is there, whole or not, is served meanwhile; taking large pages in would hold requests up.
            first_page_size: if status.is_none() {
                self.config.first_page_size
            } else {
                self.config.page_size
            },
            retry_ms: self.config.retry_ms,
        };
        let vm_id = no_table::shown(self.vm_id.as_deref());
        log::info!("flamegate: sync leads as {}, {vm_id}", settings.gateway);
        self.poster = Some(Poster::new(host, settings.gateway.clone(), host.now().monotonic));
        self.lender = Some(Lender::new(host, settings.gateway.clone(), host.listen(QUEUE)));
        self.reports.begin(status);
        self.writer = TableWriter::resume(status);
        self.machine = Some(Machine::new(settings, position, resets_in_a_row));
    }

    fn stand_back(&mut self) {
        if self.machine.take().is_some() {
            log::info!("flamegate: sync stands back");
        }
        self.session = None;
        self.poster = None;
        self.lender = None;
        self.call = None;
    }

    /// The gauges of fleet limits, once there is something to say.
    pub fn lending(&self) -> Option<[u64; FLEET_GAUGES.len()]> {
        self.lender.as_ref().and_then(Lender::gauges)
    }

    /// A worker wants tokens.
    pub fn woken<H: SharedData + Clock + Callouts>(&mut self, host: &H) {
        // Who lost the lease meanwhile finds that out at its tick, and must not ask for anything before.
        let now = host.now();
        if self.lender.is_some() && matches!(self.lease.hold(host, now.monotonic), Ok(Some(_))) {
            self.lend(host, now);
        }
    }

    fn lend<H: SharedData + Callouts>(&mut self, host: &H, now: Now) {
        let (Some(lender), Some(session)) = (&mut self.lender, &self.session) else { return };
        let (config, counts) = (&self.config, &mut self.counts);
        lender.tick(host, now, counts, |body| {
            host.call(&Call {
                cluster: &config.cluster,
                authority: &config.authority,
                path: LEASES_PATH.to_owned(),
                token: &config.token,
                session,
                body: Some(body),
                timeout_ms: lender::ANSWER_MS,
            })
        });
    }

    fn post_usage<H: SharedData + Callouts>(&mut self, host: &H, now: Now) {
        let (Some(poster), Some(session)) = (&mut self.poster, &self.session) else { return };
        let (config, counts) = (&self.config, &mut self.counts);
        poster.tick(host, now.monotonic, counts, |body| {
            host.call(&Call {
                cluster: &config.cluster,
                authority: &config.authority,
                path: USAGE_PATH.to_owned(),
                token: &config.token,
                session,
                body: Some(body),
                timeout_ms: ANSWER_MS,
            })
        });
    }

    fn step<H: SharedData + Clock + Callouts>(&mut self, host: &H, event: Event) {
        let mut event = event;
        // Ends: every effect but a poll that was sent leads to an event, and a failed one to a pause.
        loop {
            let now = host.now();
            let Some(machine) = self.machine.as_mut() else { return };
            let is_tick = matches!(event, Event::Tick { .. });
            let failures = machine.failures();
            let effect = machine.on(event, now.monotonic, random_u64());
            if is_tick && machine.failures() > failures {
                self.failed("a poll was never answered".to_owned(), now.monotonic);
            }
            self.log_state_change();
            self.tagged.note(host, self.machine.as_ref().and_then(Machine::position));
            match effect {
                None => return,
                Some(Effect::Poll(query)) => match self.send(host, query, now) {
                    Ok(call) => {
                        self.call = Some(call);
                        return;
                    }
                    Err(error) => {
                        let cluster = &self.config.cluster;
                        let why = format!(
                            "poll not sent, is there a cluster \"{cluster}\" (sync.cluster)? {error}"
                        );
                        self.failed(why, now.monotonic);
                        event = Event::Failed(Kind::Refused);
                    }
                },
                Some(effect) => {
                    let result = self.apply(host, effect, now);
                    if let Err(error) = result {
                        self.failed(format!("page not applied: {error:?}"), now.monotonic);
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

    fn send<H: SharedData + Callouts>(
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
        let accepts = understood_by(host, now.monotonic);
        let shadow = Some(in_shadow::is_told(host, now.monotonic));
        let query = ChangesQuery { stale, workers, wait, accepts, shadow, ..query };
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
    fn rest_after_failures<H: SharedData>(&mut self, host: &H, now: Monotonic) {
        let failing = self.machine.as_ref().is_some_and(|machine| machine.failures() >= FAILURES_BEFORE_REST);
        if self.config.mode == SyncMode::Elected && failing {
            self.retire(host);
            let jitter = random_u64().checked_rem(REST_NS).unwrap_or(0);
            self.resting_until = now.saturating_add(REST_NS).saturating_add(jitter);
        }
    }

    fn failed(&mut self, why: String, now: Monotonic) {
        self.counts.increment(Counter::SyncFailures);
        self.reports.failed(why, now);
    }

    fn log_state_change(&mut self) {
        let failing = self.machine.as_ref().is_none_or(|machine| machine.failures() > 0);
        if !failing && self.call.is_none() {
            self.reports.works();
        }
    }
}

/// A number that tells control planes apart.
fn source_of(config: &SyncConfig) -> u64 {
    let text = format!("{}\0{}", config.cluster, config.authority);
    KeyHash(Sha256::digest(text).into()).prefix()
}

#[cfg(test)]
mod tests;
