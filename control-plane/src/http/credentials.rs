//! `/v1/gateway-credentials`.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::By;
use super::envelope::{Created, Listing, Success};
use super::error::ErrorEnvelope;
use super::extract::{JsonBody, PathId};
use crate::domain::credentials::StoredCredential;
use crate::domain::error::Error;

/// A credential of gateways.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayCredential)]
struct CredentialBody {
    /// For the audit log.
    #[schema(example = "gwc_fzz91ULnOMoKJCwBsQ")]
    id: String,
    /// First part of the ids of its gateways.
    #[schema(example = "eu-west-1")]
    name: String,
    /// RFC 3339.
    created_at: String,
    /// Who made it.
    created_by: String,
    /// RFC 3339; null while it is good.
    revoked_at: Option<String>,
    /// The last poll of a gateway that is remembered (RFC 3339).
    last_used_at: Option<String>,
}

/// A credential that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = NewGatewayCredential)]
struct NewCredentialBody {
    #[serde(flatten)]
    credential: CredentialBody,
    /// What the gateways send as bearer token. Shown once.
    #[schema(example = "fgw_…")]
    token: String,
}

/// A credential to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CredentialDraft {
    /// 1 to 64 letters, digits, `_`, `-`, `.`; not `shared`, and never used before.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    name: String,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(revoke))
}

/// Makes a credential. Its token is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/gateway-credentials", operation_id = "create_gateway_credential",
    tag = "gateways", security(("admin" = ["operator"])), request_body = CredentialDraft, responses(
    (status = 201, body = Success<NewCredentialBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 409, description = "The name is taken or was used before", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn create(
    State(app): State<App>,
    By(by): By,
    JsonBody(draft): JsonBody<CredentialDraft>,
) -> Result<impl IntoResponse, Error> {
    let (made, token) = app.credentials.add(&draft.name, by).await?;
    let credential = body(&app, made);
    Ok(Created(NewCredentialBody { credential, token: token.expose().to_owned() }))
}

/// All credentials in order of their names, revoked ones too.
#[utoipa::path(get, path = "/v1/gateway-credentials", operation_id = "list_gateway_credentials",
    tag = "gateways", security(("admin" = ["operator"])), responses(
    (status = 200, body = Listing<CredentialBody>),
    (status = 401, body = ErrorEnvelope)))]
async fn list(State(app): State<App>) -> Result<Listing<CredentialBody>, Error> {
    let rows = app.credentials.list().await?;
    Ok(Listing::new(rows.into_iter().map(|row| body(&app, row)).collect(), None))
}

/// Ends a credential for good: it opens nothing any more, and polls that are held under it end. Its gateways go on with the
/// table that they have.
#[utoipa::path(delete, path = "/v1/gateway-credentials/{name}", operation_id = "revoke_gateway_credential",
    tag = "gateways", security(("admin" = ["operator"])), params(("name" = String, Path, description = "Its name")), responses(
    (status = 200, body = Success<CredentialBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn revoke(
    State(app): State<App>,
    PathId(name): PathId,
    By(by): By,
) -> Result<Success<CredentialBody>, Error> {
    let row = app.credentials.revoke(&name, by).await?;
    Ok(Success::new(body(&app, row)))
}

fn body(app: &App, row: StoredCredential) -> CredentialBody {
    CredentialBody {
        last_used_at: app.gateways.last_seen(&row.name).map(|time| time.to_string()),
        id: row.id,
        name: row.name,
        created_at: row.created_at.to_string(),
        created_by: row.created_by,
        revoked_at: row.revoked_at.map(|time| time.to_string()),
    }
}
