//! One request, decided: header bytes in, [`Outcome`] out. The edge only carries it out.

use std::borrow::Cow;
use std::rc::Rc;

use super::admission::{self, Admission};
use super::internal_redirect;
use super::memory::Worker;
use crate::config::FilterConfig;
use crate::contract::key::KeyHash;
use crate::contract::usage::UsageOutcome;
use crate::decision::auth::{Permit, authenticate};
use crate::decision::bypass::{Bypass, bypass};
use crate::decision::credential::{Authorization, NoToken, Presented};
use crate::decision::denial::{Denial, InvalidApiKey, RateLimited, Unavailable};
use crate::decision::fingerprint::Fingerprint;
use crate::decision::known_key::KnownKey;
use crate::decision::metrics::Counter;
use crate::decision::rate_limit::rate_limit;
use crate::decision::reply::Reply;
pub use crate::decision::request::IDENTITY_HEADERS;
use crate::decision::request::{Forged, Request};
use crate::decision::sources::{Change, Found, KeySources};
use crate::decision::throttle::ClientAddress;
use crate::host::{Clock, Monotonic, Peer, SharedData};

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

/// Changes to the headers of a request that goes on.
#[derive(Debug)]
pub struct Edits<'a> {
    /// Whether `authorization` is removed.
    strips: bool,
    /// What stands in other places of a key, which goes, too.
    found: Option<&'a Found<'a>>,
    /// What the client sent below the identity's prefix.
    forged: &'a Forged<'a>,
    /// Whether [`IDENTITY_HEADERS`] are set.
    sets_identity: bool,
    /// Whether `connection` is set to `upgrade` and nothing more. Envoy passes the client's list on with an upgrade, and the next hop
    /// removes every header that is named in it (RFC 9110 section 7.6.1): the identity, too.
    pub upgrades: bool,
    /// Whether the key is noted for the case that the proxy redirects the request.
    pub notes_key: bool,
    /// Why it may pass.
    pub pass: Pass,
}

impl<'a> Edits<'a> {
    /// Whether the credential is removed. It comes first: Envoy finds it by a pointer, and every other name by a map of all headers that
    /// are there by then.
    pub const fn strips(&self) -> bool {
        self.strips
    }

    /// What else changes so that no credential is left.
    pub fn changes(&self) -> impl Iterator<Item = Change<'a>> {
        self.found.into_iter().flat_map(Found::changes)
    }

    /// Whether the client sent anything below the identity's prefix.
    pub const fn cleans(&self) -> bool {
        !self.forged.is_empty()
    }

    /// What of that is removed, all copies of each, before anything is set.
    pub fn cleaned(&self) -> impl Iterator<Item = &'a [u8]> {
        let sent = IDENTITY_HEADERS.iter().zip(self.forged.copies()).zip(self.overwritten());
        let identity = sent.filter(|((_, copies), overwritten)| *copies > 0 && !overwritten);
        identity.map(|((name, _), _)| name.as_bytes()).chain(self.forged.others())
    }

    /// All that is removed, in that order.
    pub fn removals(&self) -> impl Iterator<Item = &'a [u8]> {
        self.strips.then_some(&b"authorization"[..]).into_iter().chain(self.cleaned())
    }

    /// True when no header changes at all: then the host keeps the route that it found before.
    pub fn leaves_headers(&self) -> bool {
        !self.sets_identity
            && !self.upgrades
            && !matches!(self.pass, Pass::Shadowed(_))
            && self.removals().next().is_none()
            && !self.found.is_some_and(Found::changes_headers)
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
    /// The proxy has redirected it, and the key that it came with at first is still good.
    Returned(Permit),
    /// It needs no key and has no identity.
    Bypass(Bypass),
    /// It would be refused, and the configuration or its key says that it is not. In a box: whoever is not in shadow does not carry
    /// its size around.
    Shadowed(Box<Shadowed>),
}

/// A request that would be refused and passes in shadow.
#[derive(Debug)]
pub struct Shadowed {
    /// What it would be told.
    pub denial: Denial,
    /// Who is calling, where the key is good and something else would refuse the request: an identity that was earned.
    pub permit: Option<Permit>,
}

/// Who is calling: workspace id, key id, environment.
pub fn identity(key: &KnownKey) -> [&str; 3] {
    let record = key.record();
    [&record.workspace, &record.id, record.environment.as_str()]
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
    let verdict = match verdict {
        Err(Stop::Await(until)) => {
            let outcome = Outcome::Await(until);
            return Decision { outcome, counter: Counter::FleetHeld, shadow: false };
        }
        Err(Stop::Denied(denial)) => Err(denial),
        Ok(pass) => Ok(pass),
    };
    let verdict = verdict.map_err(|denial| match denial {
        // It has no key because a preflight has none, and nothing but its body is wrong: worth a reason of its own. Asked here, it
        // costs an accepted request nothing.
        Denial::Unauthorized(NoToken::Missing)
            if worker.config().cors_preflight && request.is_preflight_with_body() =>
        {
            Denial::Unauthorized(NoToken::PreflightBody)
        }
        Denial::Unauthorized(NoToken::Missing) if request.claims_to_be_redirected() => {
            Denial::Unauthorized(NoToken::Redirected)
        }
        other => other,
    });
    let counter = match &verdict {
        Ok(Pass::Permit(permit)) => Counter::from(permit),
        Ok(Pass::Returned(_)) => Counter::PermittedRedirected,
        Ok(Pass::Bypass(bypass)) => Counter::from(*bypass),
        Ok(Pass::Shadowed(shadowed)) => Counter::from(&shadowed.denial),
        // Nobody who sends an accepted key gets here.
        Err(denial) => match instead_of(denial, worker, host, request) {
            Some(decision) => return decision,
            None => Counter::from(denial),
        },
    };
    let pass = match verdict {
        Ok(pass) => pass,
        Err(denial) if worker.config().shadow => Pass::Shadowed(Box::new(Shadowed { denial, permit: None })),
        Err(denial) => {
            let outcome = Outcome::Answer(worker.replies.to(&denial, request.grpc));
            return Decision { outcome, counter, shadow: false };
        }
    };
    let shadow = matches!(pass, Pass::Shadowed(_));
    Decision { outcome: Outcome::Pass(edits(pass, worker.config(), request)), counter, shadow }
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
        return match restricted(worker, host, request, &permit) {
            Ok(()) => Ok(Pass::Returned(permit)),
            Err(denial) => Ok(in_shadow(worker, permit, denial)?),
        };
    }
    let permit = permit(worker, host, request.presented())?;
    match allowed(worker, host, request, &permit) {
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

/// Whether a good key may be used for this request, and counts it.
fn allowed<H: SharedData + Clock + Peer>(
    worker: &mut Worker,
    host: &H,
    request: &Request<'_>,
    permit: &Permit,
) -> Result<(), Stop> {
    restricted(worker, host, request, permit)?;
    match admit(worker, host, permit.key()) {
        Ok(()) => {
            worker.usage.count(permit.key(), UsageOutcome::Admitted);
            Ok(())
        }
        Err(Admission::Awaited(until)) => Err(Stop::Await(until)),
        Err(Admission::Refused(refusal)) => {
            worker.usage.count(permit.key(), UsageOutcome::RateLimited);
            Err(Denial::RateLimited(RateLimited::new(permit.key(), &refusal)).into())
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

/// Whether every limit of a key has a token. Nobody waits for one who passes anyway.
fn admit<H: SharedData + Clock>(worker: &mut Worker, host: &H, key: &KnownKey) -> Result<(), Admission> {
    if !key.has_fleet_limit() {
        return worker.limiter.admit(host, key.slots()).map_err(Admission::Refused);
    }
    let waits = !is_in_shadow(worker, key);
    let Worker { limiter, fleet, waiting, .. } = worker;
    admission::admit(limiter, fleet, waits.then_some(waiting), host, key.slots())
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

fn edits<'a>(pass: Pass, config: &FilterConfig, request: &'a Request<'_>) -> Edits<'a> {
    let is_known = match &pass {
        Pass::Permit(_) | Pass::Returned(_) => true,
        Pass::Bypass(_) => false,
        Pass::Shadowed(shadowed) => shadowed.permit.is_some(),
    };
    let sets_identity = config.identity_headers && is_known;
    // On a bypassed path the credential is not ours to look at, but it is not the upstream's either. In shadow it is: the API behind has
    // asked for it so far.
    let keeps = config.forward_authorization || config.shadow;
    let strips = !keeps && has_credential_in_authorization(config, request);
    let found = request.found.filter(|_| !config.shadow);
    let notes_key = config.internal_redirects && is_known && !matches!(pass, Pass::Returned(_));
    Edits {
        strips,
        found,
        sets_identity,
        upgrades: request.upgrade,
        notes_key,
        forged: &request.forged,
        pass,
    }
}

/// Whether there is an `authorization`, and it is a place of keys: else it is the upstream's.
pub fn has_credential_in_authorization(config: &FilterConfig, request: &Request<'_>) -> bool {
    let is_ours = || config.key_sources.as_deref().is_none_or(KeySources::use_authorization);
    !matches!(request.authorization, Authorization::Absent) && is_ours()
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
