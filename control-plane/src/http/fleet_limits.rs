//! `/v1/api-keys/{id}/fleet-limits`: what is left of the limits that all gateways count together, and who holds how much.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Caller;
use super::envelope::Success;
use super::error::ErrorEnvelope;
use super::extract::PathId;
use super::limits::LimitBody;
use crate::domain::error::Error;
use crate::service::lending::FleetLimit;

/// The fleet limits of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyFleetLimits)]
struct FleetLimitsBody {
    /// Id of the key.
    id: String,
    /// Its fleet limits, those of its workspace among them.
    limits: Vec<FleetLimitBody>,
}

/// A fleet limit as it stands.
#[derive(Serialize, ToSchema)]
#[schema(as = FleetLimit)]
struct FleetLimitBody {
    limit: LimitBody,
    /// `lending`, or `unavailable` while nothing counts for the whole fleet.
    state: &'static str,
    /// Why that is.
    why: Option<String>,
    /// Requests that would be admitted now, with tokens that nobody has; null while that is not known.
    left: Option<u64>,
    /// Tokens that gateways have and have not used; null while that is not known.
    lent: Option<u64>,
    /// The gateways that have them, as far as this control plane has lent them.
    holders: Vec<HolderBody>,
}

/// A gateway with tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = FleetLimitHolder)]
struct HolderBody {
    /// Id of the gateway.
    gateway: String,
    /// Tokens.
    tokens: u64,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(of_key))
}

/// The limits of a key that all gateways count together, as they stand.
#[utoipa::path(get, path = "/v1/api-keys/{id}/fleet-limits", operation_id = "get_api_key_fleet_limits",
    tag = "api-keys", security(("admin" = ["viewer"])),
    params(("id" = String, Path, description = "`key_…`")), responses(
    (status = 200, body = Success<FleetLimitsBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn of_key(caller: Caller, PathId(id): PathId) -> Result<Success<FleetLimitsBody>, Error> {
    let key = caller.key(&id).await?;
    let limits = caller.app.lending.of_key(&key).await?;
    // Which gateways there are is for operators.
    let is_tenant = caller.is_tenant();
    Ok(Success::new(FleetLimitsBody {
        id,
        limits: limits.iter().map(|limit| body(limit, is_tenant)).collect(),
    }))
}

fn body(FleetLimit { limit, state }: &FleetLimit, is_tenant: bool) -> FleetLimitBody {
    let limit = LimitBody::from(limit);
    match state {
        Ok(state) => FleetLimitBody {
            limit,
            state: "lending",
            why: None,
            left: Some(state.left),
            lent: Some(state.lent),
            holders: state
                .holders
                .iter()
                .filter(|_| !is_tenant)
                .map(|(gateway, tokens)| HolderBody { gateway: gateway.clone(), tokens: *tokens })
                .collect(),
        },
        Err(away) => FleetLimitBody {
            limit,
            state: "unavailable",
            // Where the engine is, is for operators.
            why: (!is_tenant).then(|| away.to_string()),
            left: None,
            lent: None,
            holders: Vec::new(),
        },
    }
}
