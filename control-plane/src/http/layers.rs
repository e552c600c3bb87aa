//! What every request goes through: counting and logging, a bound in time, a bound in number.
//!
//! The log has method, route pattern, status and time of a request; never its query, headers or body.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time;
use tracing::Instrument as _;

use super::admission::connections::{Owner, Seat};
use super::app::App;
use super::auth::vouch;
use super::caller::Bearer;
use crate::contract::page::CHANGES_PATH;
use crate::domain::credentials::Credential;
use crate::domain::error::Error;
use crate::domain::random;

/// A request may take this long, besides the time that it asked to wait.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait of a poll or a receipt, with some room.
const WAITING_TIMEOUT: Duration = Duration::from_secs(90);

/// Gives the request an id, counts the answer and logs it.
pub async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let route = route(&request).to_owned();
    let waits = may_wait(&request);
    let id = random::base62(16).map(|id| id.to_string()).unwrap_or_default();
    let span = tracing::info_span!("request", id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    app.metrics.request(method, &route, status, took, !waits);
    let _entered = span.entered();
    let ms = took.as_millis();
    // Polls and probes come all the time; a hostile client must not fill the log either.
    if route.starts_with("/v1") && response.status().is_success() {
        tracing::info!(method, route, status, ms, "answered");
    } else {
        tracing::debug!(method, route, status, ms, "answered");
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}

/// Lets others go first. A client that sends its requests without waiting for answers would have all of them worked on in one
/// go; gateways need not step back.
pub async fn take_turns(request: Request, next: Next) -> Response {
    if !request.extensions().get::<Seat>().is_some_and(Seat::is_gateways) {
        tokio::task::yield_now().await;
    }
    next.run(request).await
}

/// Answers for a request that takes too long. Its write, if there is one, still runs to its end.
pub async fn bound_in_time(request: Request, next: Next) -> Response {
    let limit = if may_wait(&request) { WAITING_TIMEOUT } else { REQUEST_TIMEOUT };
    match time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::Unavailable("the request took too long").into_response(),
    }
}

/// Refuses requests to `/v1` beyond what can be worked on, and forbids caches to keep the answers.
pub async fn admit(State(app): State<App>, request: Request, next: Next) -> Result<Response, Error> {
    const BUSY: Error = Error::Unavailable("too many requests at once");
    let place = request.extensions().get::<Bearer>().and_then(|bearer| bearer.scope().place());
    let of_workspace = match place {
        None => None,
        Some(place) => {
            // All tokens of a workspace together: another token is not another limit. Ending a key that works must always be possible.
            let changes = !request.method().is_safe() && !request.uri().path().ends_with("/revoke");
            if changes {
                app.people.admit(-place.workspace_seq, app.clock.instant())?;
            }
            Some(app.workspace_admission.take(&place.workspace).ok_or(BUSY)?)
        }
    };
    let _slot = (app.admission.try_acquire().map_err(|_| BUSY)?, of_workspace);
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Refuses polls beyond what leaves connections to others, and slots to other credentials. A gateway comes again by itself.
pub async fn admit_poll(State(app): State<App>, request: Request, next: Next) -> Result<Response, Error> {
    let credential = request.extensions().get::<Credential>().ok_or(Error::Unauthorized)?;
    let slot = app.poll_slots.take(credential);
    let _slot = slot.ok_or(Error::Unavailable("too many polls at once"))?;
    vouch(&request, Owner::Gateway(credential.clone()));
    Ok(next.run(request).await)
}

/// A client chooses its method freely, and a label is kept for ever.
fn method_label(method: &Method) -> &'static str {
    const NAMES: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    NAMES.into_iter().find(|name| *name == method.as_str()).unwrap_or("other")
}

/// The pattern that matched, such as `/v1/api-keys/{id}`.
fn route(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str)
}

/// True for polls and for requests that asked to wait for a receipt.
fn may_wait(request: &Request) -> bool {
    let asks =
        request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("wait=")));
    asks || request.uri().path() == CHANGES_PATH
}
