//! `/v1/users`.

mod drafts;
mod sessions;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::drafts::{AddUser, ResetPassword, SetRole, UpdateUser};
use super::app::App;
use super::caller::By;
use super::envelope::{Created, Listing, Success};
use super::error::ErrorEnvelope;
use super::extract::{JsonBody, PathId, Query};
use super::paging::{cursor, page_size, workspace_row};
use crate::domain::error::Error;
use crate::domain::users::User;
use crate::service::users::Added;

/// A user; never their password.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
struct UserBody {
    #[schema(example = "usr_7GmGWyzMgDUGySwuZJqC")]
    id: String,
    /// What they sign in with.
    email: String,
    /// Their workspaces.
    roles: Vec<RoleBody>,
    /// True for a person who sees all gateways and what they enforce.
    operator: bool,
    /// True when they may not sign in.
    disabled: bool,
    /// True when their password alone does not let them in.
    second_factor: bool,
    /// RFC 3339.
    created_at: String,
}

/// A user's place in a workspace.
#[derive(Serialize, ToSchema)]
#[schema(as = UserRole)]
struct RoleBody {
    /// Id of the workspace.
    workspace: String,
    /// Slug of the workspace.
    workspace_slug: String,
    /// `owner`, `member` or `viewer`.
    role: &'static str,
}

/// A user, with the password that was generated.
#[derive(Serialize, ToSchema)]
#[schema(as = AddedUser)]
struct AddedBody {
    #[serde(flatten)]
    user: UserBody,
    /// The generated password. It is shown here and never again; null when none was generated.
    password: Option<String>,
}

/// Which users, and which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only of this workspace, by id or slug.
    workspace: Option<String>,
    /// Most entries, 1 to 200; 50 when it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(add, list))
        .routes(routes!(show, update))
        .routes(routes!(set_role))
        .routes(routes!(reset_password))
        .routes(routes!(reset_second_factor))
        .routes(routes!(disable))
        .routes(routes!(enable))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::end))
}

/// Makes a user in a workspace. One who is there already joins the workspace.
#[utoipa::path(post, path = "/v1/users", operation_id = "add_user",
    tag = "users", security(("admin" = ["operator"])), request_body = AddUser, responses(
    (status = 201, body = Success<AddedBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 409, description = "The user is a member already; `error.details.id` is the user", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn add(
    State(app): State<App>,
    By(by): By,
    JsonBody(draft): JsonBody<AddUser>,
) -> Result<impl IntoResponse, Error> {
    Ok(Created(AddedBody::from(app.users.add(draft.into(), by).await?)))
}

/// Users, oldest first.
#[utoipa::path(get, path = "/v1/users", operation_id = "list_users",
    tag = "users", security(("admin" = ["operator"])), params(ListQuery), responses(
    (status = 200, body = Listing<UserBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, description = "No such workspace", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn list(State(app): State<App>, Query(query): Query<ListQuery>) -> Result<Listing<UserBody>, Error> {
    let (limit, after) = (page_size(query.limit)?, cursor(query.cursor.as_deref())?);
    let workspace_seq = workspace_row(&app, query.workspace.as_deref()).await?;
    let (found, next) = app.users.list(workspace_seq, after.unwrap_or(0), limit).await?;
    Ok(Listing::new(found.into_iter().map(UserBody::from).collect(), next))
}

/// One user.
#[utoipa::path(get, path = "/v1/users/{id}", operation_id = "get_user",
    tag = "users", security(("admin" = ["operator"])),
    params(("id" = String, Path, description = "`usr_…` or e-mail address")), responses(
    (status = 200, body = Success<UserBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn show(State(app): State<App>, PathId(id): PathId) -> Result<Success<UserBody>, Error> {
    Ok(Success::new(app.users.find(&id).await?.into()))
}

/// Makes a user an operator, who sees all gateways in the pages, or an ordinary user again.
#[utoipa::path(patch, path = "/v1/users/{id}", operation_id = "update_user",
    tag = "users", security(("admin" = ["operator"])), request_body = UpdateUser,
    params(("id" = String, Path, description = "`usr_…` or e-mail address")), responses(
    (status = 200, body = Success<UserBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    By(by): By,
    JsonBody(patch): JsonBody<UpdateUser>,
) -> Result<Success<UserBody>, Error> {
    Ok(Success::new(app.users.update(&id, patch.into(), by).await?.into()))
}

/// Gives a user another role in a workspace, or takes them out of it.
#[utoipa::path(post, path = "/v1/users/{id}/role", operation_id = "set_user_role",
    tag = "users", security(("admin" = ["operator"])), request_body = SetRole,
    params(("id" = String, Path, description = "`usr_…` or e-mail address")), responses(
    (status = 200, body = Success<UserBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn set_role(
    State(app): State<App>,
    PathId(id): PathId,
    By(by): By,
    JsonBody(draft): JsonBody<SetRole>,
) -> Result<Success<UserBody>, Error> {
    Ok(Success::new(app.users.set_role(&id, draft.into(), by).await?.into()))
}

/// Gives a user another password and ends all their sessions.
#[utoipa::path(post, path = "/v1/users/{id}/reset-password", operation_id = "reset_user_password",
    tag = "users", security(("admin" = ["operator"])), request_body = ResetPassword,
    params(("id" = String, Path, description = "`usr_…` or e-mail address")), responses(
    (status = 200, body = Success<AddedBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn reset_password(
    State(app): State<App>,
    PathId(id): PathId,
    By(by): By,
    JsonBody(draft): JsonBody<ResetPassword>,
) -> Result<Success<AddedBody>, Error> {
    Ok(Success::new(app.users.reset_password(&id, draft.into(), by).await?.into()))
}

/// Takes a user's second factor away and ends all their sessions: they sign in by their password alone until they set one up again. Doing
/// it again succeeds.
#[utoipa::path(post, path = "/v1/users/{id}/reset-second-factor", operation_id = "reset_user_second_factor",
    tag = "users", security(("admin" = ["operator"])),
    params(("id" = String, Path, description = "`usr_…` or e-mail address")), responses(
    (status = 200, body = Success<UserBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn reset_second_factor(
    State(app): State<App>,
    PathId(id): PathId,
    By(by): By,
) -> Result<Success<UserBody>, Error> {
    Ok(Success::new(app.users.reset_second_factor(&id, by).await?.into()))
}

/// Locks a user out and ends all their sessions. Doing it again succeeds.
#[utoipa::path(post, path = "/v1/users/{id}/disable", operation_id = "disable_user",
    tag = "users", security(("admin" = ["operator"])),
    params(("id" = String, Path, description = "`usr_…` or e-mail address")), responses(
    (status = 200, body = Success<UserBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn disable(State(app): State<App>, PathId(id): PathId, By(by): By) -> Result<Success<UserBody>, Error> {
    Ok(Success::new(app.users.set_disabled(&id, true, by).await?.into()))
}

/// Lets a user in again who was locked out. Doing it again succeeds.
#[utoipa::path(post, path = "/v1/users/{id}/enable", operation_id = "enable_user",
    tag = "users", security(("admin" = ["operator"])),
    params(("id" = String, Path, description = "`usr_…` or e-mail address")), responses(
    (status = 200, body = Success<UserBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn enable(State(app): State<App>, PathId(id): PathId, By(by): By) -> Result<Success<UserBody>, Error> {
    Ok(Success::new(app.users.set_disabled(&id, false, by).await?.into()))
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        let roles = user.memberships.into_iter().map(|membership| RoleBody {
            workspace: membership.workspace,
            workspace_slug: membership.slug,
            role: membership.role.as_str(),
        });
        Self {
            id: user.id,
            email: user.email,
            roles: roles.collect(),
            operator: user.is_operator,
            disabled: user.disabled_at.is_some(),
            second_factor: user.has_second_factor,
            created_at: user.created_at.to_string(),
        }
    }
}

impl From<Added> for AddedBody {
    fn from(added: Added) -> Self {
        let password = added.generated.map(|password| password.reveal().to_owned());
        Self { user: added.user.into(), password }
    }
}
