//! Waking the requests that waited for the first table, at the edge.

use crate::host::{Clock as _, HostError};
use crate::worker::Worker;

use super::abi;
use super::host::Envoy;
use super::stream;

/// Decides those whose wait is over and gives their number. The next calls act on the root context again.
pub fn wake(worker: &mut Worker, root: u32) -> usize {
    if worker.held.is_empty() {
        return 0;
    }
    worker.held.forget_closed(abi::has_context);
    let due = worker.held.take_due(worker.status().is_some(), Envoy.monotonic());
    for request in &due {
        match is_waiting(request.id) {
            Ok(true) => stream::resume(*request, worker),
            Ok(false) => {}
            // It was looked at when it came, so this does not happen; if it did, nothing would pass.
            Err(error) => log::error!("flamegate: a request that waits cannot be looked at: {error}"),
        }
    }
    let _ = abi::set_effective_context(root);
    due.len()
}

/// True for a stream that is still there; the next calls act on it then.
fn is_waiting(id: u32) -> Result<bool, HostError> {
    match abi::set_effective_context(id) {
        Err(abi::BAD_ARGUMENT) => return Ok(false),
        result => result?,
    }
    Ok(abi::property(stream::DURATION)?.is_none())
}
