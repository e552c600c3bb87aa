//! Bearer tokens: one set for operators and scripts, another for gateways, a third for metrics. None opens another's door.
//!
//! A good token always passes, whatever else came from its address. Wrong ones are counted, and an address that has sent too many
//! gets its answers late and loses its connection with each.

use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time;

use super::admission::connections::{Owner, Seat};
use super::app::App;
use super::caller::{Address, Bearer};
use super::certificate::Certified;
use super::needs::Needs;
use crate::domain::error::Error;
use crate::domain::tokens::digest;
use crate::service::metrics::TokenKind;

/// Lets requests with a token of an operator pass, within the token's limit, when it is for what they need; and notes whose it is.
pub(super) async fn require_operator(
    State((app, needs)): State<(App, Needs)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    let digest = digest(presented(request.headers())?);
    let bearer = if app.tokens.is_admin(&digest) {
        Bearer::Environment
    } else if let Some(token) = app.operators.identify(&digest) {
        Bearer::Named(token)
    } else {
        return Ok(refuse_wrong(&app, TokenKind::Admin, request).await);
    };
    let is_tenant = bearer.scope().place().is_some();
    vouch(&request, if is_tenant { Owner::Tenant(digest) } else { Owner::Operator(digest) });
    // One that is used too often is good all the same.
    app.tokens.count(digest, app.clock.instant())?;
    if !needs.of_request(&request).is_met_by(bearer.scope()) {
        return Err(Error::Forbidden("this token is not for that"));
    }
    request.extensions_mut().insert(bearer);
    Ok(next.run(request).await)
}

/// Lets requests with a sync token or a gateway's credential pass, and notes which it was. Where gateways have to show a certificate,
/// whoever has none learns nothing of its token.
pub async fn require_sync(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    let certified = request.extensions().get::<Certified>();
    if app.asks_for_certificates && !certified.is_some_and(|shown| shown.is_good(app.clock.now().as_second()))
    {
        return Err(refuse_uncertified(&app, request).await);
    }
    let Ok(token) = presented(request.headers()) else {
        return Err(refuse_missing(&app, request).await);
    };
    let Ok(credential) = app.credentials.identify(token, &app.tokens) else {
        return Ok(refuse_wrong(&app, TokenKind::Sync, request).await);
    };
    request.extensions_mut().insert(credential);
    let seat = request.extensions().get::<Seat>().cloned();
    let response = next.run(request).await;
    // It was revoked while the poll was held.
    if let Some(seat) = seat.filter(|_| response.status() == StatusCode::UNAUTHORIZED) {
        seat.disown();
    }
    Ok(response)
}

/// Lets requests with a token for metrics pass; any request while there is none.
pub async fn require_metrics(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let token = presented(request.headers());
    if app.tokens.check_metrics(token.as_deref().ok()).is_err() {
        token?;
        return Ok(refuse_wrong(&app, TokenKind::Metrics, request).await);
    }
    Ok(next.run(request).await)
}

/// The connection is no stranger's any more.
pub(super) fn vouch(request: &Request, owner: Owner) {
    if let Some(seat) = request.extensions().get::<Seat>() {
        seat.vouch(owner);
    }
}

/// Nothing of a poll is guessed by one without a token, so nobody's answer comes late for it; but an Envoy that was started
/// without its token is to be found.
async fn refuse_missing(app: &App, request: Request) -> Error {
    let from = told_address(app, request).await;
    app.metrics.refused_token(TokenKind::NoSync);
    tracing::warn!(
        from,
        "a poll came without a token, or with more than one: is FLAMEGATE_SYNC_TOKEN set where Envoy starts?"
    );
    Error::Unauthorized
}

/// Like [`refuse_missing`].
async fn refuse_uncertified(app: &App, request: Request) -> Error {
    if let Some(seat) = request.extensions().get::<Seat>() {
        seat.disown();
    }
    let from = told_address(app, request).await;
    app.metrics.refused_token(TokenKind::NoCertificate);
    tracing::warn!(from, "a poll came on a connection without a client certificate that is good");
    Error::NoCertificate
}

async fn told_address(app: &App, request: Request) -> String {
    let Ok(Address(address)) = Address::from_request_parts(&mut request.into_parts().0, app).await;
    address.map(|address| address.to_string()).unwrap_or_default()
}

/// The answer to a wrong token, which is the same 401 early and late.
async fn refuse_wrong(app: &App, kind: TokenKind, request: Request) -> Response {
    if let Some(seat) = request.extensions().get::<Seat>() {
        seat.disown();
    }
    let Ok(Address(address)) = Address::from_request_parts(&mut request.into_parts().0, app).await;
    app.metrics.refused_token(kind);
    let many = app.wrong_tokens.wrong_token(address);
    let from = address.map(|address| address.to_string()).unwrap_or_default();
    tracing::warn!(kind = kind.as_str(), from, many, "a wrong token was refused");
    let mut response = Error::Unauthorized.into_response();
    if many {
        time::sleep(app.patience.guess).await;
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The one token of the request.
fn presented(headers: &HeaderMap) -> Result<&[u8], Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Error::Unauthorized) };
    bearer(value.as_bytes()).ok_or(Error::Unauthorized)
}

/// The token of a `Bearer` header; the scheme is case-insensitive (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}
