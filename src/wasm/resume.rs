//! Deciding anew the requests that have waited, for the first table or for a token, at the edge.

use crate::host::{Clock as _, HostError};
use crate::worker::Worker;
use crate::worker::held::{HeldRequest, MAX_WOKEN_PER_TICK};

use super::abi;
use super::host::Envoy;
use super::stream;

/// Decides those whose wait is over and gives their number. The next calls act on the root context again.
pub fn wake(worker: &mut Worker, root: u32) -> usize {
    if worker.held.is_empty() && worker.waiting.is_empty() {
        return 0;
    }
    worker.held.forget_closed(abi::has_context);
    worker.waiting.forget_closed(abi::has_context);
    let held = worker.held.take_due(worker.status().is_some(), Envoy.monotonic());
    for request in &held {
        decide(*request, worker);
    }
    let waited = worker.take_waiting(&Envoy, MAX_WOKEN_PER_TICK.saturating_sub(held.len()));
    for (request, until) in &waited {
        worker.waiting.deciding(Some(*until));
        decide(*request, worker);
    }
    worker.waiting.deciding(None);
    let _ = abi::set_effective_context(root);
    held.len().saturating_add(waited.len())
}

fn decide(request: HeldRequest, worker: &mut Worker) {
    match is_waiting(request.id) {
        Ok(true) => stream::resume(request, worker),
        Ok(false) => {}
        // It was looked at when it came, so this does not happen; if it did, nothing would pass.
        Err(error) => log::error!("flamegate: a request that waits cannot be looked at: {error}"),
    }
}

/// True for a stream that is still there; the next calls act on it then.
fn is_waiting(id: u32) -> Result<bool, HostError> {
    match abi::set_effective_context(id) {
        Err(abi::BAD_ARGUMENT) => return Ok(false),
        result => result?,
    }
    Ok(abi::property(stream::DURATION)?.is_none())
}
