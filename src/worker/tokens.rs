//! What a worker does with requests that wait for a token, on the host.

use crate::host::{Clock, Monotonic, SharedData};
use crate::limit::waiters;

use super::held::HeldRequest;
use super::memory::Worker;

impl Worker {
    /// From now on answers of the sync wake this worker, where the host can do that. To be called on a tick: what configures a filter is
    /// run for a test, too.
    pub fn listen<H: SharedData>(&mut self, host: &H) {
        if self.config.sync.is_some() && self.queue.is_none() {
            let name = format!("flamegate/worker/{:016x}", self.presence.worker());
            self.queue = Some(host.listen(&name));
        }
    }

    /// A request waits for a token.
    pub fn await_token<H: SharedData>(&mut self, host: &H, request: HeldRequest, until: Monotonic) {
        self.waiting.add(request, until, self.fleet.known_answers());
        if let Some(queue) = self.queue.flatten().filter(|_| !self.is_enlisted) {
            self.is_enlisted = waiters::enlist(host, queue);
        }
    }

    /// Takes at most `most` of the requests that are to be decided anew, each with the moment until which it waits.
    pub fn take_waiting<H: SharedData + Clock>(
        &mut self,
        host: &H,
        most: usize,
    ) -> Vec<(HeldRequest, Monotonic)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        // The list is empty after an answer; who goes on waiting stands in it again.
        self.is_enlisted = false;
        let now = host.monotonic();
        let (lends, answers) = self.fleet.answers(host, now);
        self.waiting.take_due(lends.then_some(answers), now, most)
    }
}

#[cfg(test)]
mod tests;
