//! One request, decided: header bytes in, [`Outcome`] out. The edge only carries it out.

use std::rc::Rc;

use crate::api_key::Authorization;
use crate::auth::{Denial, InvalidApiKey, Permit, RateLimited, authenticate};
use crate::bypass::{Bypass, bypass};
use crate::config::FilterConfig;
use crate::host::{Clock, Peer, SharedData};
use crate::known_key::KnownKey;
use crate::metrics::Counter;
use crate::reply::Reply;
pub use crate::request::IDENTITY_HEADERS;
use crate::request::{Forged, Request};
use crate::throttle::ClientAddress;
use crate::worker::Worker;
use crate::worker::fingerprint::Fingerprint;

/// A verdict on a request.
#[derive(Debug)]
pub struct Decision<'a> {
    /// What to do.
    pub outcome: Outcome<'a>,
    /// The one counter of `flamegate_requests_total` that moves when that has been done.
    pub counter: Counter,
}

/// What happens to a request.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// It goes on, after these changes to its headers.
    Pass(Edits<'a>),
    /// The proxy answers.
    Answer(Reply),
}

/// Changes to the headers of a request that goes on.
#[derive(Debug)]
pub struct Edits<'a> {
    /// Whether `authorization` is removed.
    strips: bool,
    /// What the client sent below the identity's prefix.
    forged: &'a Forged<'a>,
    /// Whether [`IDENTITY_HEADERS`] are set.
    sets_identity: bool,
    /// Why it may pass.
    pub pass: Pass,
}

impl<'a> Edits<'a> {
    /// Headers to remove, all copies of each, before anything is set. The credential comes first: Envoy finds it by a pointer,
    /// and every other name by a map of all headers that are there by then.
    pub fn removals(&self) -> impl Iterator<Item = &'a [u8]> {
        let sent = IDENTITY_HEADERS.iter().zip(self.forged.copies()).zip(self.overwritten());
        let identity = sent.filter(|((_, copies), overwritten)| *copies > 0 && !overwritten);
        let credential = self.strips.then_some(&b"authorization"[..]);
        credential
            .into_iter()
            .chain(identity.map(|((name, _), _)| name.as_bytes()))
            .chain(self.forged.others())
    }

    /// Which of [`IDENTITY_HEADERS`] are there and are overwritten, when all are set: those of which the client sent one copy. It
    /// is cheaper than to remove and add. Of several copies Envoy would overwrite the first and keep the others.
    pub fn overwritten(&self) -> [bool; IDENTITY_HEADERS.len()] {
        self.forged.copies().map(|copies| self.sets_identity && copies == 1)
    }
}

/// Why a request may pass.
#[derive(Debug)]
pub enum Pass {
    /// Its key is good; the identity is the key's.
    Permit(Permit),
    /// It needs no key and has no identity.
    Bypass(Bypass),
}

/// Names of the identity in filter state, in the order of [`identity`]. Envoy puts `wasm.` before them.
pub const IDENTITY_STATE: [&str; 3] = ["flamegate.workspace_id", "flamegate.key_id", "flamegate.environment"];

/// Name of the filter state that says why a request needed no key.
pub const BYPASS_STATE: &str = "flamegate.bypass";

/// Who is calling: workspace id, key id, environment.
pub fn identity(key: &KnownKey) -> [&str; 3] {
    let record = key.record();
    [&record.workspace, &record.id, record.environment.as_str()]
}

/// Decides a request.
pub fn decide<'a, H: SharedData + Clock + Peer>(
    worker: &mut Worker,
    host: &H,
    request: &'a Request<'_>,
) -> Decision<'a> {
    let config = worker.config();
    let verdict = match bypass(&config.bypass, config.cors_preflight, request) {
        Some(bypass) => Ok(Pass::Bypass(bypass)),
        None => check_key(worker, host, request).map(Pass::Permit),
    };
    let counter = match &verdict {
        Ok(Pass::Permit(permit)) => Counter::from(permit),
        Ok(Pass::Bypass(bypass)) => Counter::from(*bypass),
        Err(denial) => Counter::from(denial),
    };
    let outcome = match verdict {
        Ok(pass) => Outcome::Pass(edits(pass, worker.config(), request)),
        Err(denial) => Outcome::Answer(worker.replies.to(&denial)),
    };
    Decision { outcome, counter }
}

fn check_key<H: SharedData + Clock + Peer>(
    worker: &mut Worker,
    host: &H,
    request: &Request<'_>,
) -> Result<Permit, Denial> {
    let permit = permit(worker, host, request.authorization)?;
    match worker.limiter.admit(host, permit.key().slots()) {
        Ok(()) => Ok(permit),
        Err(refusal) => Err(Denial::RateLimited(RateLimited::new(permit.key(), &refusal))),
    }
}

/// The permit of a value that was authenticated before is renewed. Any other value is authenticated, unless it comes from
/// an address that has sent too many bad ones.
fn permit<H: SharedData + Clock + Peer>(
    worker: &mut Worker,
    host: &H,
    authorization: Authorization<'_>,
) -> Result<Permit, Denial> {
    worker.begin_request(host);
    let fingerprint = match authorization {
        Authorization::Single(value) => Some(worker.fingerprint(value)),
        _ => None,
    };
    if let Some(known) = fingerprint.and_then(|value| worker.recognise(value)) {
        return known.renewed(|| host.wall());
    }
    // Without a value nobody tries a key, and the answer is cheaper than the throttle.
    let (Some(value), Some(throttle)) = (fingerprint, &worker.throttle) else {
        return first_seen(worker, host, authorization, fingerprint);
    };
    if throttle.was_accepted(value) {
        return first_seen(worker, host, authorization, fingerprint);
    }
    let client = host.client_address().as_deref().and_then(ClientAddress::parse);
    let at = host.monotonic();
    if let Some(client) = client {
        throttle.check(client, at).map_err(Denial::Throttled)?;
    }
    let verdict = first_seen(worker, host, authorization, fingerprint);
    if let Some(throttle) = &mut worker.throttle {
        match (client, &verdict) {
            (_, Ok(_)) => throttle.note_success(value),
            (Some(client), Err(Denial::InvalidApiKey(_))) => throttle.note_failure(client, at),
            _ => {}
        }
    }
    verdict
}

/// Authenticates a value that is not recognised, and remembers what comes of it.
fn first_seen<H: SharedData + Clock>(
    worker: &mut Worker,
    host: &H,
    authorization: Authorization<'_>,
    fingerprint: Option<Fingerprint>,
) -> Result<Permit, Denial> {
    const UNKNOWN: Denial = Denial::InvalidApiKey(InvalidApiKey::Unknown);
    if fingerprint.is_some_and(|value| worker.is_unknown(value)) {
        return Err(UNKNOWN);
    }
    let accepts = worker.config().accepts;
    let verdict = authenticate(authorization, accepts, || host.wall(), |hash| worker.find(host, hash));
    match (fingerprint, &verdict) {
        (Some(value), Ok(permit)) => worker.remember(value, permit),
        (Some(value), Err(UNKNOWN)) => worker.remember_unknown(value),
        _ => {}
    }
    verdict
}

fn edits<'a>(pass: Pass, config: &FilterConfig, request: &'a Request<'_>) -> Edits<'a> {
    let sets_identity = config.identity_headers && matches!(pass, Pass::Permit(_));
    // On a bypassed path the credential is not ours to look at, but it is not the upstream's either.
    let strips = !config.forward_authorization && !matches!(request.authorization, Authorization::Absent);
    Edits { strips, sets_identity, forged: &request.forged, pass }
}

/// Headers for an admitted response when the configuration asks for them: `RateLimit-Policy` and `RateLimit`.
pub fn rate_limit_headers(worker: &Worker, key: &Rc<KnownKey>) -> Option<[(&'static str, String); 2]> {
    if key.slots().is_empty() {
        return None;
    }
    let items = key.slots().iter().zip(worker.limiter.remaining(key.slots()));
    let items =
        items.map(|(slot, left)| crate::reply::rate_limit(slot.name(), left.tokens, left.reset_seconds));
    let rate_limit = items.collect::<Vec<_>>().join(", ");
    Some([("ratelimit-policy", key.rate_limit_policy().to_owned()), ("ratelimit", rate_limit)])
}
