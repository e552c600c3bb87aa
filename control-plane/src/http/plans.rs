//! `/v1/plans`.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::{By, Caller};
use super::envelope::{Created, Listing, Success};
use super::error::ErrorEnvelope;
use super::extract::{JsonBody, PathId, Query};
use super::json::present;
use super::keys::bodies::ReceiptBody;
use super::keys::{WaitQuery, receipt_if_asked, wait_of};
use super::limits::{LimitBody, drafts};
use super::restrict::RestrictBody;
use crate::domain::error::Error;
use crate::domain::keys::RestrictDraft;
use crate::domain::limits::scope_name;
use crate::domain::plans::{Plan, PlanDraft, PlanPatch, PlanUses};

/// A plan: limits and restrictions that keys or workspaces have by its name.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
struct PlanBody {
    /// Stays for ever.
    #[schema(example = "gold")]
    name: String,
    /// `key`: for keys, each of which counts for itself. `workspace`: for workspaces, whose keys count together.
    scope: &'static str,
    /// Limits of all who have it, beside the workspace's ceiling and limits. Clients see them as `plan:` and the name.
    limits: Vec<LimitBody>,
    /// What their keys may be used for; null for everything.
    restrict: Option<RestrictBody>,
    /// Revision of its last change.
    revision: u64,
    /// RFC 3339.
    created_at: String,
    /// Keys that have it and are not revoked.
    keys: u64,
    /// Workspaces that have it.
    workspaces: u64,
    /// With `wait`: which gateways know of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<ReceiptBody>,
}

/// A plan to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreatePlan {
    /// 1 to 64 letters, digits, `_`, `-`, `.`.
    #[schema(required, value_type = String, pattern = "^[A-Za-z0-9_.-]{1,64}$", example = "gold")]
    name: Option<String>,
    /// `key` (the default) or `workspace`.
    #[serde(default)]
    #[schema(pattern = "^(key|workspace)$")]
    scope: Option<String>,
    /// At most four limits, all of the plan's scope.
    #[serde(default)]
    limits: Option<Vec<LimitBody>>,
    /// What its keys may be used for. Everything, when it is not given.
    #[serde(default)]
    restrict: Option<RestrictBody>,
}

/// Changes of a plan; what is not given stays. Name and scope do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdatePlan {
    /// Other limits.
    #[serde(default)]
    limits: Option<Vec<LimitBody>>,
    /// Other restrictions: a list that is not given stays as it is, an empty one restricts nothing; `null` for none at all.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<RestrictBody>)]
    restrict: Option<Option<RestrictBody>>,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(show, update, delete))
}

/// Makes a plan. Nobody has it yet.
#[utoipa::path(post, path = "/v1/plans", operation_id = "create_plan", tag = "plans",
    security(("admin" = ["operator"])), request_body = CreatePlan, responses(
    (status = 201, body = Success<PlanBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 409, description = "The name is taken, or there are 100 plans", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn create(
    State(app): State<App>,
    By(by): By,
    JsonBody(body): JsonBody<CreatePlan>,
) -> Result<impl IntoResponse, Error> {
    let CreatePlan { name, scope, limits, restrict } = body;
    let draft =
        PlanDraft { name, scope, limits: limits.map(drafts), restrict: restrict.map(RestrictDraft::from) };
    Ok(Created(self::body(app.plans.create(draft, by).await?.value, PlanUses::default())))
}

/// All plans in order of their names.
#[utoipa::path(get, path = "/v1/plans", operation_id = "list_plans", tag = "plans",
    security(("admin" = ["operator"])), responses(
    (status = 200, body = Listing<PlanBody>),
    (status = 401, body = ErrorEnvelope)))]
async fn list(State(app): State<App>) -> Result<Listing<PlanBody>, Error> {
    let found = app.plans.list().await?;
    Ok(Listing::new(found.into_iter().map(|(plan, uses)| body(plan, uses)).collect(), None))
}

/// One plan.
#[utoipa::path(get, path = "/v1/plans/{name}", operation_id = "get_plan", tag = "plans",
    security(("admin" = ["operator"])), params(("name" = String, Path, description = "Its name")), responses(
    (status = 200, body = Success<PlanBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn show(State(app): State<App>, PathId(name): PathId) -> Result<Success<PlanBody>, Error> {
    let (plan, uses) = app.plans.find(&name).await?;
    Ok(Success::new(body(plan, uses)))
}

/// Changes limits or restrictions of a plan, for all who have it: one revision, as the change of one key.
#[utoipa::path(patch, path = "/v1/plans/{name}", operation_id = "update_plan", tag = "plans",
    security(("admin" = ["operator"])), request_body = UpdatePlan,
    params(WaitQuery, ("name" = String, Path, description = "Its name")), responses(
    (status = 200, body = Success<PlanBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn update(
    caller: Caller,
    PathId(name): PathId,
    Query(query): Query<WaitQuery>,
    JsonBody(patch): JsonBody<UpdatePlan>,
) -> Result<Success<PlanBody>, Error> {
    let wait = wait_of(&query)?;
    let UpdatePlan { limits, restrict } = patch;
    let restrict = restrict.map(|restrict| restrict.map(RestrictDraft::from));
    let patch = PlanPatch { limits: limits.map(drafts), restrict, seen: None };
    let written = caller.app.plans.update(&name, patch, caller.by.clone()).await?;
    let receipt = receipt_if_asked(&caller, wait, &written).await;
    let (plan, uses) = caller.app.plans.find(&name).await?;
    Ok(Success::new(PlanBody { receipt, ..body(plan, uses) }))
}

/// Removes a plan that no key and no workspace has.
#[utoipa::path(delete, path = "/v1/plans/{name}", operation_id = "delete_plan", tag = "plans",
    security(("admin" = ["operator"])), params(("name" = String, Path, description = "Its name")), responses(
    (status = 200, body = Success<PlanBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "A key that is not revoked, or a workspace, has it", body = ErrorEnvelope)))]
async fn delete(
    State(app): State<App>,
    PathId(name): PathId,
    By(by): By,
) -> Result<Success<PlanBody>, Error> {
    Ok(Success::new(body(app.plans.delete(&name, by).await?, PlanUses::default())))
}

fn body(plan: Plan, uses: PlanUses) -> PlanBody {
    PlanBody {
        scope: scope_name(plan.scope),
        limits: plan.limits.iter().map(LimitBody::from).collect(),
        restrict: plan.restrict.as_ref().map(RestrictBody::from),
        revision: plan.revision,
        created_at: plan.created_at.to_string(),
        keys: uses.keys,
        workspaces: uses.workspaces,
        receipt: None,
        name: plan.name,
    }
}
