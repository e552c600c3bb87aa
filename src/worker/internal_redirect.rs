//! Internal redirects: Envoy answers an upstream's 302 itself by sending the request through the filters again. It has no
//! `authorization` by then, because the first pass took that away.
//!
//! So the first pass leaves a note with the request, in filter state that lives as long as the client's request does: the hash of
//! the key that it was admitted with. The second pass looks the key up again, so that one that was revoked meanwhile is refused.
//! Only the filter writes the note, once for each request, and it is read only where the proxy itself says that it has
//! redirected the request. Limits are not taken again: the client has sent one request.
//! docs/adr/0021-internal-redirects.md.

use super::memory::Worker;
use crate::contract::key::KeyHash;
use crate::decision::auth::{Permit, readmit};
use crate::decision::denial::Denial;
use crate::decision::request::Request;
use crate::host::{Clock, Peer, SharedData};

/// Name of the note in filter state; Envoy puts `wasm.` before it.
pub const NOTE: &str = "flamegate.admitted";

/// First byte of a note. Two versions of the filter may see one request.
const VERSION: u8 = 1;

/// The note about a request that was admitted with this key.
pub fn note(hash: &KeyHash) -> [u8; 33] {
    let mut note = [VERSION; 33];
    if let Some(place) = note.last_chunk_mut() {
        *place = hash.0;
    }
    note
}

/// The key that a redirected request was admitted with; `None` for a request that comes for the first time, or whose first pass
/// needed no key. A client that claims to be redirected has no note.
pub fn admitted_with<H: Peer>(host: &H, request: &Request<'_>) -> Option<KeyHash> {
    if !request.claims_to_be_redirected() {
        return None;
    }
    match host.noted_before()?.split_first_chunk() {
        Some(([VERSION], hash)) => hash.try_into().ok().map(KeyHash),
        _ => None,
    }
}

/// Admits a redirected request by its key of the first pass, if that is still good.
pub fn admit_again<H: SharedData + Clock>(
    worker: &mut Worker,
    host: &H,
    hash: &KeyHash,
) -> Result<Permit, Denial> {
    worker.begin_request(host);
    let accepts = worker.config().accepts;
    readmit(hash, accepts, || host.wall(), |hash| worker.find(host, hash))
}

#[cfg(test)]
mod tests;
