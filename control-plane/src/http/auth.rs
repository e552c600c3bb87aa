//! Bearer tokens: one set for people and scripts, another for gateways. Neither opens the other's door.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::error::Error;

/// Lets requests with an admin token pass, within the token's limit.
pub async fn require_admin(State(app): State<App>, request: Request, next: Next) -> Result<Response, Error> {
    app.tokens.check_admin(presented(request.headers())?, app.clock.instant())?;
    Ok(next.run(request).await)
}

/// Lets requests with a sync token pass.
pub async fn require_sync(State(app): State<App>, request: Request, next: Next) -> Result<Response, Error> {
    app.tokens.check_sync(presented(request.headers())?)?;
    Ok(next.run(request).await)
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
