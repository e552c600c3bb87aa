//! Whose request was refused: a line for the access log, when the configuration asks for it. A 429 or an expired key is somebody's
//! problem, and the answer does not say whose.
//!
//! The key is found again instead of being carried along: so a request that is not refused, and a gateway that does not ask, do not
//! pay for it.

use std::rc::Rc;

use super::decide::hash_of;
use super::internal_redirect;
use super::memory::Worker;
use crate::decision::known_key::KnownKey;
use crate::decision::metrics::Counter;
use crate::decision::request::Request;
use crate::host::{Clock, Peer, SharedData};

/// `<reason>;<key id>` of a request that was refused though its key is known; the reasons are those of
/// `flamegate_requests_total`: `key` or `workspace` (whose limit is used up), `method`, `path` or `address` (for which the key may not be
/// used), `expired`, `environment`.
#[cold]
pub fn denied<H: SharedData + Clock + Peer>(
    worker: &mut Worker,
    host: &H,
    request: &Request<'_>,
    counter: Counter,
) -> Option<String> {
    let of_a_known_key = matches!(
        counter,
        Counter::RateLimitedKey
            | Counter::RateLimitedWorkspace
            | Counter::ForbiddenMethod
            | Counter::ForbiddenPath
            | Counter::ForbiddenAddress
            | Counter::InvalidExpired
            | Counter::InvalidEnvironment
    );
    let key = of_a_known_key.then(|| key_of(worker, host, request))??;
    Some(format!("{};{}", counter.reason(), key.record().id))
}

fn key_of<H: SharedData + Clock + Peer>(
    worker: &mut Worker,
    host: &H,
    request: &Request<'_>,
) -> Option<Rc<KnownKey>> {
    let presented = request.presented();
    let Some(value) = presented.value() else {
        let hash = internal_redirect::admitted_with(host, request)?;
        return worker.find(host, &hash).ok()?;
    };
    if let Some(permit) = worker.recognise(worker.fingerprint(value)) {
        return Some(Rc::clone(permit.key()));
    }
    worker.find(host, &hash_of(presented)?).ok()?
}

#[cfg(test)]
mod tests;
