//! Requests that wait for the first table: a new Envoy, as in a hot restart, takes requests before it has one.
//!
//! Nothing is taken for a held request and nothing is remembered of it but that it waits; on waking it is decided as if it had
//! just come. All wait until one moment, so many milliseconds after the VM's start.

use std::collections::VecDeque;

use crate::host::Monotonic;

use super::streams::StreamId;

/// Most requests that one worker holds; more are answered at once.
pub const MAX_HELD: usize = 1_000;
/// Most that are woken in one callback: each one is work for Envoy in the same turn of its event loop.
pub const MAX_WOKEN_PER_TICK: usize = 32;

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldRequest {
    /// Its stream.
    pub id: StreamId,
    /// Whether more comes than its headers.
    pub body: bool,
}

/// The requests that wait, oldest first.
#[derive(Debug, Default)]
pub struct Held {
    /// When the wait ends; 0 while nobody may wait.
    until: Monotonic,
    waiting: VecDeque<HeldRequest>,
}

impl Held {
    /// Requests may wait until then.
    pub const fn open(&mut self, until: Monotonic) {
        self.until = until;
    }

    /// True while one more may wait.
    pub fn admits(&self, now: impl FnOnce() -> Monotonic) -> bool {
        self.until > 0 && self.waiting.len() < MAX_HELD && now() < self.until
    }

    /// A request waits.
    pub fn add(&mut self, request: HeldRequest) {
        self.waiting.push_back(request);
    }

    /// The requests of another worker wait here.
    pub fn append(&mut self, mut other: Self) {
        self.waiting.append(&mut other.waiting);
    }

    /// Those whose wait is over, the longest first and at most [`MAX_WOKEN_PER_TICK`]: all when there is a table, or when it is
    /// too late for one.
    pub fn take_due(&mut self, has_table: bool, now: Monotonic) -> Vec<HeldRequest> {
        if !has_table && now < self.until {
            return Vec::new();
        }
        let count = self.waiting.len().min(MAX_WOKEN_PER_TICK);
        self.waiting.drain(..count).collect()
    }

    /// Makes room when there is none: clients that gave up do not wait any more.
    pub fn forget_closed(&mut self, mut is_open: impl FnMut(StreamId) -> bool) {
        if self.waiting.len() >= MAX_HELD {
            self.waiting.retain(|request| is_open(request.id));
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True when none does.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
