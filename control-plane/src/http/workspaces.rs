//! `/v1/workspaces`.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::By;
use super::envelope::{Created, Listing, Success};
use super::extract::{JsonBody, PathId, Query};
use crate::app::App;
use crate::error::{Error, ErrorEnvelope};
use crate::limits::LimitDraft;
use crate::workspaces::{Workspace, WorkspaceDraft, WorkspacePatch};

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
    default_limits: Vec<LimitDraft>,
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
    tag = "workspaces", security(("admin" = [])),
    request_body = WorkspaceDraft, responses(
    (status = 201, body = Success<WorkspaceBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 409, description = "The slug is taken; `error.details.id` has it", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn create(
    State(app): State<App>,
    By(by): By,
    JsonBody(draft): JsonBody<WorkspaceDraft>,
) -> Result<impl IntoResponse, Error> {
    Ok(Created(body(app.workspaces.create(draft, by).await?)))
}

/// All workspaces, oldest first.
#[utoipa::path(get, path = "/v1/workspaces", operation_id = "list_workspaces",
    tag = "workspaces", security(("admin" = [])), params(Part), responses(
    (status = 200, body = Listing<WorkspaceBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn list(State(app): State<App>, Query(part): Query<Part>) -> Result<Listing<WorkspaceBody>, Error> {
    let (limit, after) = (page_size(part.limit)?, cursor(part.cursor.as_deref())?);
    let (found, next) = app.workspaces.list(after.unwrap_or(0), limit).await?;
    Ok(Listing::new(found.into_iter().map(body).collect(), next.map(|seq| seq.to_string())))
}

/// One workspace, by id or slug.
#[utoipa::path(get, path = "/v1/workspaces/{id}", operation_id = "get_workspace",
    tag = "workspaces", security(("admin" = [])),
    params(("id" = String, Path, description = "Id or slug")), responses(
    (status = 200, body = Success<WorkspaceBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn show(State(app): State<App>, PathId(id): PathId) -> Result<Success<WorkspaceBody>, Error> {
    Ok(Success::new(body(app.workspaces.find(&id).await?)))
}

/// Changes a workspace's name or default limits.
#[utoipa::path(patch, path = "/v1/workspaces/{id}", operation_id = "update_workspace",
    tag = "workspaces", security(("admin" = [])),
    params(("id" = String, Path, description = "Id or slug")), request_body = WorkspacePatch, responses(
    (status = 200, body = Success<WorkspaceBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    By(by): By,
    JsonBody(patch): JsonBody<WorkspacePatch>,
) -> Result<Success<WorkspaceBody>, Error> {
    Ok(Success::new(body(app.workspaces.update(&id, patch, by).await?.value)))
}

fn body(workspace: Workspace) -> WorkspaceBody {
    WorkspaceBody {
        id: workspace.id,
        slug: workspace.slug,
        name: workspace.name,
        default_limits: workspace.default_limits.iter().map(LimitDraft::from).collect(),
        created_at: workspace.created_at.to_string(),
    }
}

/// Entries per page: 1 to 200, 50 when nothing is asked for.
pub(super) fn page_size(asked: Option<u32>) -> Result<u32, Error> {
    match asked {
        None => Ok(50),
        Some(size @ 1..=200) => Ok(size),
        Some(_) => Err(Error::invalid("limit", "must be 1 to 200")),
    }
}

/// A cursor is the number of the last row; clients need not know.
pub(super) fn cursor(text: Option<&str>) -> Result<Option<i64>, Error> {
    let parsed = text.map(|text| text.parse().ok().filter(|seq| *seq >= 0));
    match parsed {
        Some(None) => Err(Error::invalid("cursor", "must be a next_cursor of this list")),
        Some(seq) => Ok(seq),
        None => Ok(None),
    }
}
