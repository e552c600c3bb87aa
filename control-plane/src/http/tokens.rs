//! `/v1/tokens`.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::By;
use super::envelope::{Created, Listing, Success};
use super::error::ErrorEnvelope;
use super::extract::{JsonBody, PathId, Query};
use super::keys::drafts::expiry_schema;
use super::paging::{cursor, page_size};
use crate::domain::error::Error;
use crate::domain::operators::{OperatorToken, TokenDraft};

/// A token of operators; never the token itself.
#[derive(Serialize, ToSchema)]
#[schema(as = OperatorToken)]
struct TokenBody {
    /// For the audit log.
    #[schema(example = "opt_fzz91ULnOMoKJCwBsQ")]
    id: String,
    /// The audit log calls it `token:` and this.
    #[schema(example = "ci")]
    name: String,
    /// Id of the workspace that it is for; null for all of /v1.
    workspace: Option<String>,
    /// Slug of the workspace.
    workspace_slug: Option<String>,
    /// `owner`, `member` or `viewer` of that workspace; null for all of /v1.
    role: Option<&'static str>,
    /// `active`, `expired` or `revoked`.
    status: &'static str,
    /// RFC 3339.
    created_at: String,
    /// Who made it.
    created_by: String,
    /// From when on it opens nothing (RFC 3339); null for never.
    expires_at: Option<String>,
    /// RFC 3339; null while nobody has ended it.
    revoked_at: Option<String>,
    /// When it was last used, in whole minutes (RFC 3339); null for never.
    last_used_at: Option<String>,
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = NewOperatorToken)]
struct NewTokenBody {
    #[serde(flatten)]
    described: TokenBody,
    /// What is sent as bearer token. Shown once.
    #[schema(example = "fgo_…")]
    token: String,
}

/// A token to be made. Without workspace and role it is for all of /v1.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateToken {
    /// 1 to 64 letters, digits, `_`, `-`, `.`; never used before.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    name: String,
    /// Id or slug of the only workspace that it is for.
    #[serde(default)]
    workspace: Option<String>,
    /// With a workspace: `owner`, `member` or `viewer`, who may do what people of that role may.
    #[serde(default)]
    role: Option<String>,
    /// From when on it opens nothing: RFC 3339 text or Unix seconds. Never, when it is not given.
    #[serde(default)]
    #[schema(schema_with = expiry_schema)]
    expires_at: Option<Value>,
}

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Part {
    /// Most entries, 1 to 200; 50 when it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(revoke))
}

/// Makes a token. It is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/tokens", operation_id = "create_token",
    tag = "tokens", security(("admin" = ["operator"])), request_body = CreateToken, responses(
    (status = 201, body = Success<NewTokenBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 409, description = "The name is taken or was used before, or there are 1,000 good tokens", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn create(
    State(app): State<App>,
    By(by): By,
    JsonBody(draft): JsonBody<CreateToken>,
) -> Result<impl IntoResponse, Error> {
    let CreateToken { name, workspace, role, expires_at } = draft;
    let draft = TokenDraft { name, workspace, role, expires_at };
    let (made, token) = app.operators.create(draft, by).await?;
    let described = body(&app, made);
    Ok(Created(NewTokenBody { described, token: token.expose().to_owned() }))
}

/// Tokens, oldest first, expired and revoked ones too. Those of the environment have no name and are not among them.
#[utoipa::path(get, path = "/v1/tokens", operation_id = "list_tokens",
    tag = "tokens", security(("admin" = ["operator"])), params(Part), responses(
    (status = 200, body = Listing<TokenBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn list(State(app): State<App>, Query(part): Query<Part>) -> Result<Listing<TokenBody>, Error> {
    let (limit, after) = (page_size(part.limit)?, cursor(part.cursor.as_deref())?);
    let (found, next) = app.operators.list(after.unwrap_or(0), limit).await?;
    Ok(Listing::new(found.into_iter().map(|token| body(&app, token)).collect(), next))
}

/// Ends a token for good: no control plane takes it any more. Again, it changes nothing.
#[utoipa::path(delete, path = "/v1/tokens/{name}", operation_id = "revoke_token",
    tag = "tokens", security(("admin" = ["operator"])), params(("name" = String, Path, description = "Its name")), responses(
    (status = 200, body = Success<TokenBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn revoke(
    State(app): State<App>,
    PathId(name): PathId,
    By(by): By,
) -> Result<Success<TokenBody>, Error> {
    let token = app.operators.revoke(&name, by).await?;
    Ok(Success::new(body(&app, token)))
}

fn body(app: &App, token: OperatorToken) -> TokenBody {
    let status = token.status(app.clock.now()).as_str();
    let (workspace, workspace_slug, role) = match token.scope.place() {
        None => (None, None, None),
        Some(place) => (Some(place.workspace.clone()), Some(place.slug.clone()), Some(place.role.as_str())),
    };
    TokenBody {
        id: token.id,
        name: token.name,
        workspace,
        workspace_slug,
        role,
        status,
        created_at: token.created_at.to_string(),
        created_by: token.created_by,
        expires_at: token.expires_at.map(|time| time.to_string()),
        revoked_at: token.revoked_at.map(|time| time.to_string()),
        last_used_at: token.last_used_at.map(|time| time.to_string()),
    }
}
