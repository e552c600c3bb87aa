//! `POST /sync/v1/usage`, for gateways: what keys were used for. The answer is the protocol's own form, without our envelope; errors
//! have it.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::admission::connections::Owner;
use super::app::App;
use super::auth::vouch;
use super::error::{ErrorEnvelope, Failure};
use super::receive::whole;
use super::sync::session;
use crate::contract::SESSION_HEADER;
use crate::contract::usage::{UsageAnswer, UsagePost};
use crate::domain::credentials::{Credential, ID_PART, is_id_part};
use crate::domain::error::{Error, Problems};
use crate::domain::usage::Batch;

/// Longest post in bytes: as many counts and hashes as there may be, with long names.
const MAX_POST: usize = 256 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(usage))
}

/// Reads the body of a post whole, and only then takes one of the credential's places.
pub(super) async fn admit(State(app): State<App>, request: Request, next: Next) -> Result<Response, Failure> {
    let credential = request.extensions().get::<Credential>().cloned().ok_or(Error::Unauthorized)?;
    vouch(&request, Owner::Gateway(credential.clone()));
    let request = whole(request, MAX_POST, app.patience.body).await?;
    let slot = app.post_slots.take(&credential);
    let _slot = slot.ok_or(Error::Unavailable("too many posts at once"))?;
    Ok(next.run(request).await)
}

/// What keys were used for, since the post before. A post that is not acknowledged is repeated as it is, and each number of a session is
/// counted once.
#[utoipa::path(post, path = "/sync/v1/usage", operation_id = "post_usage",
    tag = "sync", security(("sync" = [])),
    request_body(content = Object, description = "gateway, sequence, counts (key_id, outcome, minute, requests), refused (hash, minute, requests), \
        shadow (keys as counts, reasons (reason, minute, requests))"),
    responses(
    (status = 200, description = "`sequence`: everything up to this number is counted", body = Object),
    (status = 401, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn usage(
    State(app): State<App>,
    Extension(credential): Extension<Credential>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Error> {
    let mut problems = Problems::default();
    let session = session(&headers, &mut problems);
    problems.check()?;
    let session = session.ok_or_else(|| Error::invalid(SESSION_HEADER, "is required"))?;
    let post = UsagePost::parse(&body).map_err(|why| Error::invalid("body", why))?;
    if !is_id_part(&post.gateway) {
        return Err(Error::invalid("gateway", ID_PART));
    }
    // The last moment at which a revocation can keep it back.
    app.credentials.check(&credential)?;
    let sequence = app.usage.add(Batch { credential: credential.name().to_owned(), session, post }).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(UsageAnswer { sequence })).into_response())
}
