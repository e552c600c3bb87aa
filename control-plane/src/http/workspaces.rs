//! `/v1/workspaces`.

mod drafts;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::drafts::{CreateWorkspace, UpdateWorkspace};
use super::app::App;
use super::caller::{By, Caller};
use super::envelope::{Created, Listing, Success};
use super::error::ErrorEnvelope;
use super::extract::{JsonBody, PathId, Query};
use super::limits::LimitBody;
use super::paging::{cursor, page_size};
use crate::domain::error::Error;
use crate::domain::workspaces::Workspace;

/// A workspace.
#[derive(Serialize, ToSchema)]
#[schema(as = Workspace)]
struct WorkspaceBody {
    /// What the upstream sees.
    #[schema(example = "ws_4fzz91ULnOMoKJCwBs8")]
    id: String,
    /// For scripts; can be used instead of the id.
    #[schema(example = "demo")]
    slug: String,
    /// For people.
    name: String,
    /// Limits of its keys that have none of their own.
    default_limits: Vec<LimitBody>,
    /// Most that each of its keys may do; null for no bound.
    ceiling: Option<LimitBody>,
    /// Limits that all its keys share, whatever else they have.
    workspace_limits: Vec<LimitBody>,
    /// Most active keys; null for as many as one likes.
    max_active_keys: Option<u32>,
    /// Its plan, whose limits all its keys share; null for none.
    plan: Option<String>,
    /// RFC 3339.
    created_at: String,
}

/// Which part of a list.
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
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(show, update))
}

/// Makes a workspace.
#[utoipa::path(post, path = "/v1/workspaces", operation_id = "create_workspace",
    tag = "workspaces", security(("admin" = ["operator"])),
    request_body = CreateWorkspace, responses(
    (status = 201, body = Success<WorkspaceBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 409, description = "The slug is taken; `error.details.id` has it", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn create(
    State(app): State<App>,
    By(by): By,
    JsonBody(draft): JsonBody<CreateWorkspace>,
) -> Result<impl IntoResponse, Error> {
    Ok(Created(body(app.workspaces.create(draft.into(), by).await?)))
}

/// All workspaces, oldest first; of a token of one workspace that one.
#[utoipa::path(get, path = "/v1/workspaces", operation_id = "list_workspaces",
    tag = "workspaces", security(("admin" = ["viewer"])), params(Part), responses(
    (status = 200, body = Listing<WorkspaceBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn list(caller: Caller, Query(part): Query<Part>) -> Result<Listing<WorkspaceBody>, Error> {
    let (limit, after) = (page_size(part.limit)?, cursor(part.cursor.as_deref())?);
    if let Some(only) = caller.only_workspace().await? {
        return Ok(Listing::new(vec![body(only)], None));
    }
    let (found, next) = caller.app.workspaces.list(after.unwrap_or(0), limit).await?;
    Ok(Listing::new(found.into_iter().map(body).collect(), next))
}

/// One workspace, by id or slug.
#[utoipa::path(get, path = "/v1/workspaces/{id}", operation_id = "get_workspace",
    tag = "workspaces", security(("admin" = ["viewer"])),
    params(("id" = String, Path, description = "Id or slug")), responses(
    (status = 200, body = Success<WorkspaceBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn show(caller: Caller, PathId(id): PathId) -> Result<Success<WorkspaceBody>, Error> {
    Ok(Success::new(body(caller.workspace(&id).await?)))
}

/// Changes a workspace's name, default limits or bounds.
#[utoipa::path(patch, path = "/v1/workspaces/{id}", operation_id = "update_workspace",
    tag = "workspaces", security(("admin" = ["operator"])),
    params(("id" = String, Path, description = "Id or slug")), request_body = UpdateWorkspace, responses(
    (status = 200, body = Success<WorkspaceBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "A key has too many limits of its own for these bounds; `error.details.id` is the key",
        body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    By(by): By,
    JsonBody(patch): JsonBody<UpdateWorkspace>,
) -> Result<Success<WorkspaceBody>, Error> {
    Ok(Success::new(body(app.workspaces.update(&id, patch.into(), by).await?.value)))
}

fn body(workspace: Workspace) -> WorkspaceBody {
    WorkspaceBody {
        id: workspace.id,
        slug: workspace.slug,
        name: workspace.name,
        default_limits: workspace.default_limits.iter().map(LimitBody::from).collect(),
        ceiling: workspace.bounds.ceiling.as_ref().map(LimitBody::from),
        workspace_limits: workspace.bounds.workspace_limits.iter().map(LimitBody::from).collect(),
        max_active_keys: workspace.bounds.max_active_keys,
        plan: workspace.plan.clone(),
        created_at: workspace.created_at.to_string(),
    }
}
