//! A host in memory with the *true* shared-data semantics of proxy-wasm-cpp-host (one map, one compare-and-swap counter
//! for the process, a missing key inserted whatever the caller expects), a clock that the test moves, and faults on
//! demand.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::contract::session::Session;

use super::callouts::{Call, Callouts};
use super::clock::{Clock, Now};
use super::error::HostError;
use super::peer::Peer;
use super::shared_data::{Expect, SharedData, Versioned, Write};

/// Everything that a worker or the sync needs of a host. Share it between simulated workers by reference or `Rc`.
#[derive(Default)]
pub struct FakeHost {
    data: RefCell<HashMap<String, Versioned>>,
    next_cas: Cell<u32>,
    now: Cell<Now>,
    conflicts: Cell<u32>,
    read_error: Cell<Option<HostError>>,
    write_error: Cell<Option<HostError>>,
    reads: Cell<u64>,
    writes: Cell<u64>,
    sent: RefCell<Vec<String>>,
    posted: RefCell<Vec<(u32, Vec<u8>)>>,
    sessions: RefCell<Vec<Session>>,
    refuse_sending: Cell<bool>,
    client_address: RefCell<Option<Vec<u8>>>,
    addresses_asked: Cell<u64>,
    noted: RefCell<Option<Vec<u8>>>,
    route_settings: RefCell<Option<Vec<u8>>>,
    route_error: Cell<Option<HostError>>,
    settings_asked: Cell<u64>,
}

impl FakeHost {
    /// An empty host whose clocks both stand at `seconds`.
    pub fn at(seconds: u64) -> Self {
        let host = Self::default();
        let ns = seconds.saturating_mul(1_000_000_000);
        host.now.set(Now { monotonic: ns, wall: ns });
        host
    }

    /// Moves both clocks forward.
    pub fn advance_ns(&self, ns: u64) {
        let now = self.now.get();
        self.now.set(Now { monotonic: now.monotonic.saturating_add(ns), wall: now.wall.saturating_add(ns) });
    }

    /// Sets the wall clock alone, as NTP or a person would.
    pub fn set_wall_ns(&self, wall: u64) {
        self.now.set(Now { wall, ..self.now.get() });
    }

    /// The next `count` writes that name a version fail with a conflict.
    pub fn inject_conflicts(&self, count: u32) {
        self.conflicts.set(count);
    }

    /// Every read fails with this status until it is set to `None`.
    pub fn fail_reads(&self, error: Option<u32>) {
        self.read_error.set(error.map(HostError));
    }

    /// Every write fails with this status until it is set to `None`.
    pub fn fail_writes(&self, error: Option<u32>) {
        self.write_error.set(error.map(HostError));
    }

    /// Forgets all shared data, as when the last VM of the `vm_id` went.
    pub fn wipe(&self) {
        self.data.borrow_mut().clear();
    }

    /// All keys with a non-empty value, sorted.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> =
            self.data.borrow().iter().filter(|(_, v)| !v.bytes.is_empty()).map(|(k, _)| k.clone()).collect();
        keys.sort();
        keys
    }

    /// Bytes of all keys and values together.
    pub fn total_bytes(&self) -> usize {
        self.data.borrow().iter().map(|(k, v)| k.len().saturating_add(v.bytes.len())).sum()
    }

    /// Paths of the HTTP calls so far; a call's number is its place in the list, counted from 1.
    pub fn sent(&self) -> Vec<String> {
        self.sent.borrow().clone()
    }

    /// What was posted, each with its call's number.
    pub fn posted(&self) -> Vec<(u32, Vec<u8>)> {
        self.posted.borrow().clone()
    }

    /// The session that each of these calls carried.
    pub fn sessions(&self) -> Vec<Session> {
        self.sessions.borrow().clone()
    }

    /// Every HTTP call is refused, as when the cluster is not there.
    pub fn refuse_sending(&self, refuse: bool) {
        self.refuse_sending.set(refuse);
    }

    /// The next requests come from this address.
    pub fn set_client_address(&self, address: &str) {
        *self.client_address.borrow_mut() = Some(address.as_bytes().to_vec());
    }

    /// The next requests are sent through the filters again, with this note of their first pass; `None` for requests that
    /// come for the first time.
    pub fn set_note(&self, note: Option<&[u8]>) {
        *self.noted.borrow_mut() = note.map(<[u8]>::to_vec);
    }

    /// The next requests go to a route with these settings, as Envoy serialises them; `None` for one without any. An error: with some that
    /// it cannot hand over.
    pub fn set_route_settings(&self, settings: Result<Option<Vec<u8>>, u32>) {
        self.route_error.set(settings.as_ref().err().map(|status| HostError(*status)));
        *self.route_settings.borrow_mut() = settings.unwrap_or_default();
    }

    /// How often a route's settings were asked for.
    pub fn settings_asked(&self) -> u64 {
        self.settings_asked.get()
    }

    /// How often the client's address was asked for.
    pub fn addresses_asked(&self) -> u64 {
        self.addresses_asked.get()
    }

    /// Shared-data calls so far, as (reads, writes).
    pub fn calls(&self) -> (u64, u64) {
        (self.reads.get(), self.writes.get())
    }
}

impl Clock for FakeHost {
    fn now(&self) -> Now {
        self.now.get()
    }
}

impl Peer for FakeHost {
    fn client_address(&self) -> Option<Vec<u8>> {
        self.addresses_asked.set(self.addresses_asked.get().saturating_add(1));
        self.client_address.borrow().clone()
    }

    fn noted_before(&self) -> Option<Vec<u8>> {
        self.noted.borrow().clone()
    }

    fn route_settings<T>(&self, read: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, HostError> {
        self.settings_asked.set(self.settings_asked.get().saturating_add(1));
        match self.route_error.get() {
            Some(error) => Err(error),
            None => Ok(read(self.route_settings.borrow().as_deref())),
        }
    }
}

impl SharedData for FakeHost {
    fn read(&self, key: &str) -> Result<Option<Versioned>, HostError> {
        self.reads.set(self.reads.get().saturating_add(1));
        match self.read_error.get() {
            Some(error) => Err(error),
            None => Ok(self.data.borrow().get(key).cloned()),
        }
    }

    fn write(&self, key: &str, bytes: &[u8], expect: Expect) -> Result<Write, HostError> {
        self.writes.set(self.writes.get().saturating_add(1));
        if let Some(error) = self.write_error.get() {
            return Err(error);
        }
        let mut data = self.data.borrow_mut();
        if let Some(stored) = data.get(key).filter(|_| expect != Expect::Any) {
            let injected = self.conflicts.get();
            self.conflicts.set(injected.saturating_sub(1));
            if injected > 0 || expect != Expect::Version(stored.cas) {
                return Ok(Write::Conflict);
            }
        }
        let cas = self.next_cas.get().checked_add(1).unwrap_or(1);
        self.next_cas.set(cas);
        data.insert(key.to_owned(), Versioned { bytes: bytes.to_vec(), cas });
        Ok(Write::Stored)
    }
}

impl Callouts for FakeHost {
    fn call(&self, call: &Call<'_>) -> Result<u32, HostError> {
        if self.refuse_sending.get() {
            return Err(HostError(2));
        }
        let mut sent = self.sent.borrow_mut();
        sent.push(call.path.clone());
        self.sessions.borrow_mut().push(*call.session);
        let number = u32::try_from(sent.len()).map_err(|_| HostError(10))?;
        if let Some(body) = call.body {
            self.posted.borrow_mut().push((number, body.to_vec()));
        }
        Ok(number)
    }
}
