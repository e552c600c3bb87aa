//! `/v1/api-keys/{id}/shadow`.

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Caller;
use super::envelope::Success;
use super::error::ErrorEnvelope;
use super::extract::{JsonBody, PathId, Query};
use super::keys::bodies::UpdatedBody;
use super::keys::{WaitQuery, receipt_if_asked, wait_of};
use crate::domain::error::Error;

/// Whether a key is in shadow.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetShadow)]
struct ShadowBody {
    /// `true`: what its limits or restrictions would refuse is counted and passes.
    #[schema(required, value_type = bool)]
    shadow: Option<bool>,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(set))
}

/// Puts a key in shadow, or takes it out. What it is already changes nothing.
#[utoipa::path(put, path = "/v1/api-keys/{id}/shadow", operation_id = "set_api_key_shadow",
    tag = "api-keys", security(("admin" = ["operator"])), request_body = ShadowBody,
    params(WaitQuery, ("id" = String, Path, description = "`key_…`")), responses(
    (status = 200, body = Success<UpdatedBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "A revoked key stays revoked", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn set(
    PathId(id): PathId,
    Query(query): Query<WaitQuery>,
    caller: Caller,
    JsonBody(ShadowBody { shadow }): JsonBody<ShadowBody>,
) -> Result<Success<UpdatedBody>, Error> {
    let wait = wait_of(&query)?;
    let shadow = shadow.ok_or_else(|| Error::invalid("shadow", "is required"))?;
    let written = caller.app.keys.set_shadow(&id, shadow, caller.by.clone()).await?;
    let receipt = receipt_if_asked(&caller, wait, &written).await;
    Ok(Success::new(UpdatedBody { api_key: caller.key_body(written.value, caller.app.clock.now()), receipt }))
}
