//! `POST /sync/v1/leases`, for gateways: tokens of the limits that the whole fleet counts together. The answer is the protocol's own form,
//! without our envelope; errors have it. 503 says that nothing can be lent now.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header;
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
use crate::contract::leases::LeaseCall;
use crate::domain::credentials::{Credential, ID_PART, is_id_part};
use crate::domain::error::Error;

/// Longest call in bytes: as many asks as there may be, with long names.
const MAX_CALL: usize = 256 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(leases))
}

/// Reads the body of a call whole, and only then takes one of the credential's places.
pub(super) async fn admit(State(app): State<App>, request: Request, next: Next) -> Result<Response, Failure> {
    let credential = request.extensions().get::<Credential>().cloned().ok_or(Error::Unauthorized)?;
    vouch(&request, Owner::Gateway(credential.clone()));
    let request = whole(request, MAX_CALL, app.patience.body).await?;
    let slot = app.lease_slots.take(&credential);
    let _slot = slot.ok_or(Error::Unavailable("too many calls for tokens at once"))?;
    Ok(next.run(request).await)
}

/// Tokens of fleet limits: what a gateway has admitted, gives back, and wants. Nothing of it is sent twice.
#[utoipa::path(post, path = "/sync/v1/leases", operation_id = "post_leases",
    tag = "sync", security(("sync" = [])),
    request_body(content = Object, description = "gateway, asks (owner, scope, name, want, spent, returned, generation, alone)"),
    responses(
    (status = 200, description = "lease_ms, grants (tokens, generation, left, retry_after_ms, held_elsewhere), one for each ask", body = Object),
    (status = 401, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope),
    (status = 503, description = "Nothing can be lent now", body = ErrorEnvelope)))]
async fn leases(
    State(app): State<App>,
    Extension(credential): Extension<Credential>,
    body: Bytes,
) -> Result<Response, Error> {
    let call = LeaseCall::parse(&body).map_err(|why| Error::invalid("body", why))?;
    if !is_id_part(&call.gateway) {
        return Err(Error::invalid("gateway", ID_PART));
    }
    // The last moment at which a revocation can keep it back.
    app.credentials.check(&credential)?;
    let gateway = format!("{}/{}", credential.name(), call.gateway);
    let answer = app.lending.lend(&gateway, &call.asks).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}
