//! One request, decided: header bytes in, [`Outcome`] out. The edge only carries it out.

use std::borrow::Cow;
use std::rc::Rc;

use super::admission::{self, Admission};
use super::edits::{Edits, Pass, Shadowed, edits};
use super::internal_redirect;
use super::memory::Worker;
use super::route_settings;
use crate::config::FilterConfig;
use crate::contract::key::KeyHash;
use crate::contract::usage::UsageOutcome;
use crate::decision::auth::{Permit, authenticate};
use crate::decision::bypass::bypass;
use crate::decision::credential::{NoToken, Presented};
use crate::decision::denial::{Denial, InvalidApiKey, RateLimited, Unavailable};
use crate::decision::fingerprint::Fingerprint;
use crate::decision::known_key::KnownKey;
use crate::decision::metrics::Counter;
use crate::decision::rate_limit::rate_limit;
use crate::decision::reply::Reply;
use crate::decision::request::Request;
use crate::decision::throttle::ClientAddress;
use crate::host::{Clock, Monotonic, Peer, SharedData};
use crate::limit::Refusal;

/// A verdict on a request.
#[derive(Debug)]
pub struct Decision<'a> {
    /// What to do.
    pub outcome: Outcome<'a>,
    /// The one counter of `flamegate_requests_total` that moves when that has been done.
    pub counter: Counter,
    /// Whether it passes all the same, and is counted under a verdict of its own.
    pub shadow: bool,
}

/// What happens to a request.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// It goes on, after these changes to its headers.
    Pass(Edits<'a>),
    /// The proxy answers.
    Answer(Reply),
    /// It waits for the first table and is decided anew then; nothing was taken for it.
    Hold,
    /// It waits for a token of a fleet limit until then, and is decided anew; nothing was taken for it.
    Await(Monotonic),
}

/// Why a request does not pass now.
enum Stop {
    /// It does not pass at all.
    Denied(Denial),
    /// It may when a token comes until then.
    Await(Monotonic),
}

impl From<Denial> for Stop {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
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
        None => check_key(worker, host, request),
    };
    let pass = match verdict {
        Ok(pass) => pass,
        Err(Stop::Denied(denial)) => match denied(worker, host, request, denial) {
            Ok(pass) => pass,
            Err(decision) => return decision,
        },
        Err(Stop::Await(until)) => {
            return Decision { outcome: Outcome::Await(until), counter: Counter::FleetHeld, shadow: false };
        }
    };
    let (counter, shadow) = match &pass {
        Pass::Permit(permit) => (Counter::from(permit), false),
        Pass::Returned(_) => (Counter::PermittedRedirected, false),
        Pass::Bypass(bypass) => (Counter::from(*bypass), false),
        Pass::Shadowed(shadowed) => (Counter::from(&shadowed.denial), true),
    };
    Decision { outcome: Outcome::Pass(edits(pass, worker.config(), request)), counter, shadow }
}

/// The decision on a request that is denied, unless the filter is in shadow. Nobody who sends an accepted key gets here.
fn denied<'a, H: SharedData + Clock>(
    worker: &mut Worker,
    host: &H,
    request: &Request<'_>,
    denial: Denial,
) -> Result<Pass, Decision<'a>> {
    let denial = match denial {
        // It has no key because a preflight has none, and nothing but its body is wrong: worth a reason of its own.
        Denial::Unauthorized(NoToken::Missing)
            if worker.config().cors_preflight && request.is_preflight_with_body() =>
        {
            Denial::Unauthorized(NoToken::PreflightBody)
        }
        Denial::Unauthorized(NoToken::Missing) if request.claims_to_be_redirected() => {
            Denial::Unauthorized(NoToken::Redirected)
        }
        other => other,
    };
    if let Some(decision) = instead_of(&denial, worker, host, request) {
        return Err(decision);
    }
    if worker.config().shadow {
        return Ok(Pass::Shadowed(Box::new(Shadowed { denial, permit: None })));
    }
    let counter = Counter::from(&denial);
    let outcome = Outcome::Answer(worker.replies.to(&denial, request.grpc));
    Err(Decision { outcome, counter, shadow: false })
}

/// What becomes of a request that would be denied otherwise: a probe is answered, and one that comes too early waits.
fn instead_of<'a, H: SharedData + Clock>(
    denial: &Denial,
    worker: &mut Worker,
    host: &H,
    request: &Request<'_>,
) -> Option<Decision<'a>> {
    match denial {
        Denial::Unauthorized(NoToken::Missing) if asks_for_readiness(worker.config(), request) => {
            let (reply, counter) = if worker.is_ready(host) {
                (worker.replies.ready(), Counter::ReadinessReady)
            } else {
                let waiting = Denial::Unavailable(Unavailable::NotSynced);
                (worker.replies.to(&waiting, request.grpc), Counter::ReadinessWaiting)
            };
            Some(Decision { outcome: Outcome::Answer(reply), counter, shadow: false })
        }
        // Only a well-formed key is looked for; and nobody waits who passes anyway.
        Denial::Unavailable(Unavailable::NotSynced) if !worker.config().shadow && worker.may_hold(host) => {
            Some(Decision { outcome: Outcome::Hold, counter: Counter::HeldRequests, shadow: false })
        }
        _ => None,
    }
}

/// True for a probe: this path exactly, without a query.
fn asks_for_readiness(config: &FilterConfig, request: &Request<'_>) -> bool {
    let asks = matches!(request.method, b"GET" | b"HEAD") && !request.upgrade;
    asks && config.readiness_path.as_ref().is_some_and(|path| path.as_bytes() == request.path)
}

fn check_key<H: SharedData + Clock + Peer>(
    worker: &mut Worker,
    host: &H,
    request: &Request<'_>,
) -> Result<Pass, Stop> {
    if worker.config().internal_redirects
        && let Some(hash) = internal_redirect::admitted_with(host, request)
    {
        let permit = internal_redirect::admit_again(worker, host, &hash)?;
        if worker.config().route_settings {
            // Its limits were taken when it came; whose keys the new route is for counts as for who comes there.
            route_settings::cost(worker, host, &permit)?;
        }
        return match restricted(worker, host, request, &permit) {
            Ok(()) => Ok(Pass::Returned(permit)),
            Err(denial) => Ok(in_shadow(worker, permit, denial)?),
        };
    }
    let permit = permit(worker, host, request.presented())?;
    let cost = if worker.config().route_settings { route_settings::cost(worker, host, &permit)? } else { 1 };
    match allowed(worker, host, request, (&permit, cost)) {
        Ok(()) => Ok(Pass::Permit(permit)),
        Err(Stop::Denied(denial)) => Ok(in_shadow(worker, permit, denial)?),
        Err(waits) => Err(waits),
    }
}

/// What becomes of a request whose key is good and that the key may not be used for.
fn in_shadow(worker: &Worker, permit: Permit, denial: Denial) -> Result<Pass, Denial> {
    if is_in_shadow(worker, permit.key()) {
        Ok(Pass::Shadowed(Box::new(Shadowed { denial, permit: Some(permit) })))
    } else {
        Err(denial)
    }
}

/// Whether a request of this key passes whatever is decided.
fn is_in_shadow(worker: &Worker, key: &KnownKey) -> bool {
    worker.config().shadow || key.record().shadow
}

/// Whether a good key may be used for this request, which costs so many tokens, and counts it.
fn allowed<H: SharedData + Clock + Peer>(
    worker: &mut Worker,
    host: &H,
    request: &Request<'_>,
    (permit, cost): (&Permit, u32),
) -> Result<(), Stop> {
    // Nearly no key is; asked here, the others do not pay for the call.
    if !permit.key().restrictions().is_empty() {
        restricted(worker, host, request, permit)?;
    }
    match admit(worker, host, permit.key(), cost) {
        Ok(()) => {
            worker.usage.count(permit.key(), UsageOutcome::Admitted);
            Ok(())
        }
        Err(Admission::Awaited(until)) => Err(Stop::Await(until)),
        Err(Admission::Refused(refusal)) => {
            worker.usage.count(permit.key(), UsageOutcome::RateLimited);
            let left = if cost == 1 { 0 } else { left_of(worker, permit.key(), &refusal) };
            Err(Denial::RateLimited(RateLimited::new(permit.key(), &refusal, left)).into())
        }
    }
}

/// Whether the permit's key may be used for this request. Asked before limits: what is refused takes nothing.
fn restricted<H: Peer>(
    worker: &mut Worker,
    host: &H,
    request: &Request<'_>,
    permit: &Permit,
) -> Result<(), Denial> {
    for rules in permit.key().restrictions() {
        if let Err(forbidden) = rules.check(request, || host.client_address()) {
            worker.usage.count(permit.key(), UsageOutcome::Forbidden);
            return Err(Denial::Forbidden(forbidden));
        }
    }
    Ok(())
}

/// Whether every limit of a key has the tokens that a request costs. Nobody waits for them who passes anyway.
fn admit<H: SharedData + Clock>(
    worker: &mut Worker,
    host: &H,
    key: &KnownKey,
    cost: u32,
) -> Result<(), Admission> {
    if !key.has_fleet_limit() && cost == 1 {
        return worker.limiter.admit(host, key.slots()).map_err(Admission::Refused);
    }
    if cost == 0 {
        return Ok(());
    }
    if !key.has_fleet_limit() {
        return worker.limiter.admit_for(host, key.slots(), cost).map_err(Admission::Refused);
    }
    let waits = !is_in_shadow(worker, key);
    let Worker { limiter, fleet, waiting, .. } = worker;
    admission::admit(limiter, fleet, waits.then_some(waiting), host, (key.slots(), cost))
}

/// What is left of the limit that refused a request which costs more than that.
#[cold]
fn left_of(worker: &Worker, key: &KnownKey, refusal: &Refusal) -> u64 {
    let mut left = admission::remaining(&worker.limiter, &worker.fleet, key.slots());
    left.nth(refusal.slot).map_or(0, |left| left.tokens)
}

/// The permit of a value that was authenticated before is renewed. Any other value is authenticated, unless it comes from
/// an address that has sent too many bad ones.
fn permit<H: SharedData + Clock + Peer>(
    worker: &mut Worker,
    host: &H,
    presented: Presented<'_>,
) -> Result<Permit, Denial> {
    worker.begin_request(host);
    let fingerprint = presented.value().map(|value| worker.fingerprint(value));
    if let Some(known) = fingerprint.and_then(|value| worker.recognise(value)) {
        let renewed = known.renewed(|| host.wall());
        if renewed.is_err() {
            let key = Rc::clone(known.key());
            worker.usage.count(&key, UsageOutcome::Expired);
        }
        return renewed;
    }
    // Without a value nobody tries a key, and the answer is cheaper than the throttle.
    let (Some(value), Some(throttle)) = (fingerprint, &worker.throttle) else {
        return first_seen(worker, host, presented, fingerprint);
    };
    if throttle.was_accepted(value) {
        return first_seen(worker, host, presented, fingerprint);
    }
    let client = host.client_address().as_deref().and_then(ClientAddress::parse);
    let at = host.monotonic();
    if let Some(client) = client {
        throttle.check(client, at).map_err(Denial::Throttled)?;
    }
    let verdict = first_seen(worker, host, presented, fingerprint);
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
    presented: Presented<'_>,
    fingerprint: Option<Fingerprint>,
) -> Result<Permit, Denial> {
    const UNKNOWN: Denial = Denial::InvalidApiKey(InvalidApiKey::Unknown);
    if let Some(value) = fingerprint.filter(|value| worker.is_unknown(*value)) {
        worker.usage.refused(value, false, || hash_of(presented));
        return Err(UNKNOWN);
    }
    let accepts = worker.config().accepts;
    let (mut asked, mut found) = (None, None);
    let mut find = |hash: &KeyHash| {
        asked = Some(*hash);
        let key = worker.find(host, hash)?;
        found.clone_from(&key);
        Ok(key)
    };
    let verdict = authenticate(presented, accepts, || host.wall(), &mut find);
    match (fingerprint, &verdict) {
        (Some(value), Ok(permit)) => worker.remember(value, permit),
        (Some(value), Err(UNKNOWN)) => {
            worker.remember_unknown(value);
            worker.usage.refused(value, false, || asked);
        }
        (Some(value), Err(Denial::InvalidApiKey(reason))) => {
            let environment = *reason == InvalidApiKey::Environment;
            let outcome = if environment { UsageOutcome::Environment } else { UsageOutcome::Expired };
            match found {
                Some(key) => worker.usage.count(&key, outcome),
                None if environment => worker.usage.refused(value, true, || hash_of(presented)),
                None => {}
            }
        }
        _ => {}
    }
    verdict
}

/// The hash of a well-formed key.
pub(super) fn hash_of(presented: Presented<'_>) -> Option<KeyHash> {
    Some(presented.token().ok()?.api_key()?.hash())
}

/// Headers for an admitted response when the configuration asks for them: `RateLimit-Policy` and `RateLimit`.
pub fn rate_limit_headers<'k>(
    worker: &Worker,
    key: &'k KnownKey,
) -> Option<[(&'static str, Cow<'k, str>); 2]> {
    if key.slots().is_empty() {
        return None;
    }
    let left = key.slots().iter().zip(admission::remaining(&worker.limiter, &worker.fleet, key.slots()));
    let left = left.map(|(slot, left)| (slot.name(), left.tokens, left.reset_seconds));
    Some([
        ("ratelimit-policy", Cow::Borrowed(key.rate_limit_policy())),
        ("ratelimit", rate_limit(left).into()),
    ])
}
