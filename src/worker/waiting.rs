//! Requests that wait for a token of a fleet limit: the control plane was asked for one.
//!
//! Nothing is taken for a request that waits; on waking it is decided as if it had just come, but it waits no longer than until its own
//! moment. It is woken when the sync has had an answer, when lending stops, and at that moment.

use std::collections::VecDeque;

use crate::host::Monotonic;

use super::held::{HeldRequest, MAX_HELD};
use super::streams::StreamId;

/// The requests of one worker.
#[derive(Debug)]
pub struct Waiting {
    /// How long one waits, in nanoseconds; 0 for not at all.
    wait_ns: u64,
    requests: VecDeque<Request>,
    /// Until when the request waits that is being decided anew.
    again: Option<Monotonic>,
}

#[derive(Debug)]
struct Request {
    held: HeldRequest,
    until: Monotonic,
    /// The sync's answers when it was last decided.
    answers: u64,
}

impl Waiting {
    /// Nobody waits.
    pub const fn new(wait_ns: u64) -> Self {
        Self { wait_ns, requests: VecDeque::new(), again: None }
    }

    /// Until when the request that is being decided may wait; `None` when it may not.
    pub fn until(&self, now: impl FnOnce() -> Monotonic) -> Option<Monotonic> {
        match self.again {
            Some(until) => (now() < until).then_some(until),
            None if self.wait_ns == 0 || self.requests.len() >= MAX_HELD => None,
            None => Some(now().saturating_add(self.wait_ns)),
        }
    }

    /// True while a request is decided that has waited.
    pub const fn is_again(&self) -> bool {
        self.again.is_some()
    }

    /// A request waits. It was decided when the sync had had so many `answers`.
    pub fn add(&mut self, held: HeldRequest, until: Monotonic, answers: u64) {
        self.requests.push_back(Request { held, until, answers });
    }

    /// The requests of another worker wait here.
    pub fn append(&mut self, other: &mut Self) {
        self.requests.append(&mut other.requests);
    }

    /// Takes at most `most` that are to be decided anew, those that came first before the others, each with its moment. `answers` is the
    /// number of answers that the sync has had, `None` while nothing can be lent.
    pub fn take_due(
        &mut self,
        answers: Option<u64>,
        now: Monotonic,
        most: usize,
    ) -> Vec<(HeldRequest, Monotonic)> {
        let mut due = Vec::new();
        for _ in 0..self.requests.len() {
            let Some(request) = self.requests.pop_front() else { break };
            let is_due = answers != Some(request.answers) || now >= request.until;
            if is_due && due.len() < most {
                due.push((request.held, request.until));
            } else {
                self.requests.push_back(request);
            }
        }
        due
    }

    /// The next decisions are of a request that may wait until then; `None`: of those that come.
    pub const fn deciding(&mut self, again: Option<Monotonic>) {
        self.again = again;
    }

    /// Makes room when there is none: clients that gave up do not wait any more.
    pub fn forget_closed(&mut self, mut is_open: impl FnMut(StreamId) -> bool) {
        if self.requests.len() >= MAX_HELD {
            self.requests.retain(|request| is_open(request.held.id));
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// True when none does.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}
