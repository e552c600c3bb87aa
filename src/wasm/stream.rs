//! One request: header bytes to the core, the outcome to the host. Whatever goes wrong here ends in a denial.

use std::cell::RefCell;

use crate::contract::key::KeyHash;
use crate::decision::auth::Permit;
use crate::decision::denial::{Denial, Unavailable};
use crate::decision::metrics::Counter;
use crate::decision::published;
use crate::decision::reply::{self, Replies, Reply};
use crate::decision::request::{self, Request, SHADOW_HEADER};
use crate::decision::sources::{Change, Found};
use crate::host::HostError;
use crate::worker::Worker;
use crate::worker::decide::{Outcome, decide};
use crate::worker::denied::denied;
use crate::worker::edits::{
    Edits, IDENTITY_HEADERS, Pass, Shadowed, has_credential_in_authorization, identity,
};
use crate::worker::held::HeldRequest;
use crate::worker::internal_redirect;
use crate::worker::log_limit::LogLimit;

use super::abi::{self, Map};
use super::host::Envoy;
use super::vm;

/// Attribute that a stream has once it is over, which may be before its context is gone: until the event loop turns.
pub const DURATION: &str = "request\0duration";

/// What Envoy does with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Hands it to the next filter.
    Continue,
    /// Stops here: it was answered, or it waits.
    Stop,
}

/// What moves when a request is done with.
struct Counted {
    counter: Counter,
    /// It has passed all the same.
    shadow: bool,
}

/// Why a request could not be decided at all.
enum Failure {
    /// No configured filter can be found for it.
    NoFilter,
    /// Its headers are not a header map.
    NoHeaders,
    /// A host call failed.
    Host(HostError),
}

/// Decides a request. `body` says whether more comes than its headers.
pub fn on_request_headers(id: u32, body: bool) -> Next {
    handle(id, body).unwrap_or_else(|failure| refuse(&failure))
}

thread_local! {
    // Lines about refused requests, by reason: a client could fill the log with one and hide another.
    static NO_FILTER: RefCell<LogLimit> = const { RefCell::new(LogLimit::new()) };
    static NO_HEADERS: RefCell<LogLimit> = const { RefCell::new(LogLimit::new()) };
    static HOST: RefCell<LogLimit> = const { RefCell::new(LogLimit::new()) };
}

/// Refuses a request that could not be decided.
#[cold]
fn refuse(failure: &Failure) -> Next {
    let limit = match failure {
        Failure::NoFilter => &NO_FILTER,
        Failure::NoHeaders => &NO_HEADERS,
        Failure::Host(_) => &HOST,
    };
    let clock = || abi::monotonic_clock().ok();
    if let Some(held_back) = limit.with(|limit| limit.try_borrow_mut().ok()?.admit(clock)) {
        log::error!("flamegate: request refused: {failure} ({held_back} more since this was last logged)");
    }
    // Even if the answer cannot be sent, a request that stops here goes nowhere.
    let _ =
        send(&Replies::new("flametalk", None).to(&Denial::Unavailable(Unavailable::NotSynced), is_grpc()));
    Next::Stop
}

/// Adds the rate-limit headers to a response, when the configuration asks for them.
#[cfg(feature = "response-headers")]
pub fn on_response_headers(id: u32) {
    vm::for_each_root(|state| {
        if let Some(worker) = state.worker.as_mut().filter(|worker| worker.config().rate_limit_on_success)
            && let Some(key) = worker.streams.take_awaited(id)
            && let Some(headers) = crate::worker::decide::rate_limit_headers(worker, &key)
        {
            for (name, value) in headers {
                // Information for the client; a response without it is still right. The upstream's own copies would contradict it.
                let _ = abi::replace_header(Map::Response, name, value.as_bytes());
            }
        }
    });
}

/// Decides a request that has waited, and lets it go on or answers it. The next calls act on its stream.
pub fn resume(request: HeldRequest, worker: &mut Worker) {
    let result = carry_out(request.id, request.body, worker).and_then(|(next, counter)| {
        if matches!(next, Next::Continue) {
            abi::continue_request()?;
        }
        Ok((next, counter))
    });
    // One that goes on waiting was counted when it began.
    if !matches!(result, Ok((_, Counted { counter: Counter::FleetHeld, .. }))) {
        count(worker, &result);
    }
    if let Err(failure) = result {
        refuse(&failure);
    }
}

fn handle(id: u32, body: bool) -> Result<Next, Failure> {
    vm::with_root_of_stream(|state| {
        let mut state = state.try_borrow_mut().map_err(|_| Failure::NoFilter)?;
        let worker = state.worker.as_mut().ok_or(Failure::NoFilter)?;
        let result = carry_out(id, body, worker);
        count(worker, &result);
        result.map(|(next, _)| next)
    })
    .unwrap_or(Err(Failure::NoFilter))
}

fn count(worker: &mut Worker, result: &Result<(Next, Counted), Failure>) {
    match result {
        Ok((_, Counted { counter, shadow: false })) => worker.counts.increment(*counter),
        Ok((_, Counted { counter, shadow: true })) => {
            worker.counts.increment_shadowed(*counter);
            worker.usage.shadowed(counter.verdict_and_reason());
        }
        Err(_) => worker.counts.increment(Counter::UnavailableInternal),
    }
}

fn carry_out(id: u32, body: bool, worker: &mut Worker) -> Result<(Next, Counted), Failure> {
    abi::with_header_map(Map::Request, |map| {
        let mut request = Request::with_body(body);
        if let Some(sources) = worker.config().key_sources.clone() {
            let mut found = Found::new(&sources);
            request.read_with(map, &mut found).ok_or(Failure::NoHeaders)?;
            request.found = Some(&found);
            return act(id, body, worker, &request);
        }
        request.read(map).ok_or(Failure::NoHeaders)?;
        act(id, body, worker, &request)
    })?
}

fn act(id: u32, body: bool, worker: &mut Worker, request: &Request<'_>) -> Result<(Next, Counted), Failure> {
    let decision = decide(worker, &Envoy, request);
    let next = match decision.outcome {
        Outcome::Answer(reply) => {
            clean_refused(worker, request)?;
            tell_whose(worker, request, decision.counter);
            send(&reply)?;
            Next::Stop
        }
        Outcome::Hold => {
            // Without attributes it could not be woken.
            abi::property(DURATION)?;
            worker.held.add(HeldRequest { id, body });
            Next::Stop
        }
        Outcome::Await(until) => {
            abi::property(DURATION)?;
            worker.await_token(&Envoy, HeldRequest { id, body }, until);
            Next::Stop
        }
        Outcome::Pass(edits) => {
            if decision.shadow {
                tell_whose(worker, request, decision.counter);
            }
            pass(id, request.grpc, worker, edits)?;
            Next::Continue
        }
    };
    Ok((next, Counted { counter: decision.counter, shadow: decision.shadow }))
}

/// What the access log of a request that is refused must not have: what the client says that it is, and, where the configuration says in which
/// places a key may stand, what stands there, because one of them may be the path.
fn clean_refused(worker: &Worker, request: &Request<'_>) -> Result<(), HostError> {
    let sent = IDENTITY_HEADERS.iter().zip(request.forged.copies()).filter(|(_, copies)| *copies > 0);
    for (name, _) in sent {
        abi::remove_header(Map::Request, name.as_bytes())?;
    }
    if let Some(found) = request.found {
        if has_credential_in_authorization(worker.config(), request) {
            abi::remove_header(Map::Request, b"authorization")?;
        }
        found.try_changes(change)?;
    }
    Ok(())
}

/// Tells access logs whose key it was that was refused, or would be, if the configuration asks for that.
fn tell_whose(worker: &mut Worker, request: &Request<'_>, counter: Counter) {
    if worker.config().published.denied()
        && let Some(text) = denied(worker, &Envoy, request, counter)
    {
        // Information for the operator; the answer is right without it.
        let _ = abi::set_filter_state(published::DENIED, text.as_bytes());
    }
}

fn pass(id: u32, grpc: bool, worker: &mut Worker, edits: Edits<'_>) -> Result<(), HostError> {
    if edits.strips() {
        abi::remove_header(Map::Request, b"authorization")?;
    }
    edits.try_changes(change)?;
    // Asked about all of it at once: nearly nobody sends any.
    if edits.cleans() {
        edits.cleaned().try_for_each(|name| abi::remove_header(Map::Request, name))?;
    }
    if edits.upgrades {
        abi::replace_header(Map::Request, "connection", "upgrade")?;
    }
    let config = worker.config();
    let published = config.published;
    // Guards match routes by filter state. The host looks the route up anew when a header changes, and only then: not now, but when
    // somebody next asks for it.
    if published.bypass() && edits.leaves_headers() {
        abi::forget_route()?;
    }
    let overwritten = edits.cleans().then(|| edits.overwritten());
    let notes_key = edits.notes_key;
    let permit = match edits.pass {
        Pass::Bypass(bypass) => {
            if published.bypass() {
                abi::set_filter_state(published::BYPASS, bypass.as_str().as_bytes())?;
            }
            return Ok(());
        }
        Pass::Permit(permit) | Pass::Returned(permit) => {
            let values = identity(permit.key());
            if config.identity_headers {
                set_identity(values, overwritten)?;
            }
            for ((name, value), wanted) in published::IDENTITY.iter().zip(values).zip(published.identity()) {
                if wanted {
                    abi::set_filter_state(name, value.as_bytes())?;
                }
            }
            if notes_key {
                note_key(permit.key().hash())?;
            }
            permit
        }
        Pass::Shadowed(shadowed) => match pass_in_shadow(worker, *shadowed, overwritten, notes_key)? {
            Some(permit) => permit,
            None => return Ok(()),
        },
    };
    // A stream ends with its key; a filter in shadow ends nothing.
    if !worker.config().shadow {
        worker.opened(id, permit, grpc);
    }
    Ok(())
}

/// A request that would be refused: says so to the upstream, and to guards that know of it. Gives the permit of an identity that was earned.
#[cold]
fn pass_in_shadow(
    worker: &Worker,
    shadowed: Shadowed,
    overwritten: Option<[bool; 3]>,
    notes_key: bool,
) -> Result<Option<Permit>, HostError> {
    abi::add_header(Map::Request, SHADOW_HEADER, reply::code(&shadowed.denial))?;
    if worker.config().published.bypass() {
        abi::set_filter_state(published::BYPASS, published::SHADOW.as_bytes())?;
    }
    let Some(permit) = shadowed.permit else { return Ok(None) };
    if worker.config().identity_headers {
        set_identity(identity(permit.key()), overwritten)?;
    }
    if notes_key {
        note_key(permit.key().hash())?;
    }
    Ok(Some(permit))
}

fn change(change: Change<'_>) -> Result<(), HostError> {
    match change {
        Change::Remove(name) => abi::remove_header(Map::Request, name.as_bytes()),
        Change::Set(name, value) => abi::replace_header(Map::Request, name, value),
    }
}

/// Sets the identity's headers. `overwritten` says which of them are there; `None` when none is.
fn set_identity(values: [&str; 3], overwritten: Option<[bool; 3]>) -> Result<(), HostError> {
    for ((name, value), is_there) in IDENTITY_HEADERS.iter().zip(values).zip(overwritten.unwrap_or_default())
    {
        if is_there {
            abi::replace_header(Map::Request, name, value)?;
        } else {
            abi::add_header(Map::Request, name, value)?;
        }
    }
    Ok(())
}

/// Leaves the note that [`internal_redirect`] reads, once for each request. Another Flamegate of the chain may have left the same.
#[cold]
fn note_key(hash: &KeyHash) -> Result<(), HostError> {
    let note = internal_redirect::note(hash);
    match abi::set_filter_state(internal_redirect::NOTE, &note) {
        Err(abi::BAD_ARGUMENT) if abi::property(internal_redirect::NOTE)?.as_deref() == Some(&note) => Ok(()),
        result => result,
    }
}

/// True when the current stream is gRPC to Envoy: for where its headers are not at hand.
pub fn is_grpc() -> bool {
    let content_type = abi::property("request\0headers\0content-type");
    content_type.is_ok_and(|value| value.is_some_and(|value| request::is_grpc(&value)))
}

/// Answers the current stream.
pub fn send(reply: &Reply) -> Result<(), HostError> {
    abi::send_local_response(
        reply.status,
        reply.details,
        reply.body,
        reply.headers.as_bytes(),
        reply.grpc_status,
    )
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoFilter => f.write_str("the filter is not configured on this worker"),
            Self::NoHeaders => f.write_str("the header map cannot be read"),
            Self::Host(error) => error.fmt(f),
        }
    }
}
