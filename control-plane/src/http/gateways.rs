//! `/v1/gateways`.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::By;
use super::envelope::{Listing, Success};
use super::error::{ErrorEnvelope, Failure};
use super::extract::Query;
use crate::domain::error::Error;
use crate::domain::gateways::GatewayView;

/// A gateway: one Envoy process.
#[derive(Serialize, ToSchema)]
#[schema(as = Gateway)]
pub(super) struct GatewayBody {
    /// `<credential>/<what it calls itself>`; with `~` and digits behind it when another process has that id.
    #[schema(example = "shared/eu-west-1-1f0c93aa")]
    id: String,
    /// Name of the credential that it shows; `shared` for `FLAMEGATE_SYNC_TOKEN`.
    credential: String,
    /// False for a filter that sends no session: its acknowledgements can be forged by others with its token.
    session: bool,
    /// Version of its filter.
    version: Option<String>,
    /// True when changes are expected to reach it. One that is not may still serve, by the table that it has.
    connected: bool,
    /// True when it answers 503 because its table was not confirmed for `max_staleness_seconds`: it polls, and our answers do
    /// not arrive.
    stale: bool,
    /// How many VMs of its filter decide requests by the keys that it has: one for each worker, and one of Envoy's main thread; null
    /// for a filter that does not say. With 0 for longer than a start takes it answers 503 to everybody, as when the filter's `vm_id` is not the sync's.
    workers: Option<u32>,
    /// The version of the sync protocol that every worker of it understands. One of 1 refuses keys that have restrictions: its filter
    /// does not know them.
    protocol: u32,
    /// True while a filter of it is in shadow: it decides and counts, and refuses nothing. Null for a filter that does not say.
    shadow: Option<bool>,
    /// True when it has the table of another database, keeps it, and answers by that: it came with another epoch than this database's.
    /// Start the control plane with the right database; to replace the gateways' tables by this one's, once with `serve --init`.
    other_database: bool,
    /// True when it is forgotten once it is not connected any more; ends after ten minutes.
    leaving: bool,
    /// The last revision that all its workers enforce; null while it has no table or is stale.
    acknowledged_revision: Option<u64>,
    /// When it acknowledged that (RFC 3339).
    acknowledged_at: Option<String>,
    /// How many revisions it is behind; null while it has no table or is stale.
    behind: Option<u64>,
    /// Its first poll (RFC 3339).
    first_seen: String,
    /// Its last poll (RFC 3339).
    last_seen: String,
}

/// What was forgotten.
#[derive(Serialize, ToSchema)]
struct ForgottenBody {
    /// How many gateways.
    forgotten: usize,
}

/// Which gateways.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// `true`: only those that are connected; `false`: only those that are not.
    connected: Option<bool>,
}

/// Whose cut-off gateways: said in full, so that no path that went wrong means it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CutOffOf {
    /// The credential's name.
    credential: String,
    /// `true`: those that are not connected. Nothing else is allowed.
    cut_off: bool,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, forget_cut_off)).routes(routes!(forget))
}

/// All gateways that are remembered: for a day after their last poll, those that never acknowledged for some minutes.
#[utoipa::path(get, path = "/v1/gateways", operation_id = "list_gateways",
    tag = "gateways", security(("admin" = ["operator"])), params(Filter), responses(
    (status = 200, body = Listing<GatewayBody>),
    (status = 401, body = ErrorEnvelope)))]
async fn list(State(app): State<App>, Query(filter): Query<Filter>) -> Listing<GatewayBody> {
    let revision = app.store.head().revision;
    let mut gateways = app.gateways.list();
    gateways.retain(|gateway| filter.connected.is_none_or(|connected| gateway.connected == connected));
    Listing::new(gateways.into_iter().map(|gateway| body(gateway, revision)).collect(), None)
}

/// Forgets a gateway that is gone for good, so that receipts do not name it any more. One that is connected is forgotten once
/// it is not, if that is within ten minutes; one that comes back is there again.
#[utoipa::path(delete, path = "/v1/gateways/{credential}/{name}", operation_id = "forget_gateway",
    tag = "gateways", security(("admin" = ["operator"])), params(
        ("credential" = String, Path, description = "First part of the id"),
        ("name" = String, Path, description = "The rest of the id")), responses(
    (status = 200, description = "The gateway as it was; with `leaving` true and `connected` true it stays until it \
        disconnects", body = Success<GatewayBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn forget(
    State(app): State<App>,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
    By(by): By,
) -> Result<Success<GatewayBody>, Failure> {
    let not_text = |_| Failure::BadRequest("the path is not UTF-8".to_owned());
    let Path((credential, name)) = path.map_err(not_text)?;
    let view = app.gateways.forget(&format!("{credential}/{name}"), &app.store, by).await?;
    Ok(Success::new(body(view, app.store.head().revision)))
}

/// Forgets all gateways of a credential that are not connected, as after a theft: whoever had it may have invented them.
#[utoipa::path(delete, path = "/v1/gateways", operation_id = "forget_cut_off_gateways",
    tag = "gateways", security(("admin" = ["operator"])), params(CutOffOf), responses(
    (status = 200, description = "How many that were", body = Success<ForgottenBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn forget_cut_off(
    State(app): State<App>,
    Query(CutOffOf { credential, cut_off }): Query<CutOffOf>,
    By(by): By,
) -> Result<Success<ForgottenBody>, Error> {
    if !cut_off {
        return Err(Error::invalid("cut_off", "must be true"));
    }
    let forgotten = app.gateways.forget_cut_off(&credential, &app.store, by).await?;
    Ok(Success::new(ForgottenBody { forgotten }))
}

pub(super) fn body(gateway: GatewayView, revision: u64) -> GatewayBody {
    GatewayBody {
        behind: gateway.acknowledged.map(|acknowledged| revision.saturating_sub(acknowledged)),
        id: gateway.id,
        credential: gateway.credential,
        session: gateway.has_session,
        version: gateway.version,
        connected: gateway.connected,
        stale: gateway.stale,
        workers: gateway.workers,
        protocol: gateway.accepts.accepts().unwrap_or(1),
        shadow: gateway.shadow,
        other_database: gateway.other_database,
        leaving: gateway.leaving,
        acknowledged_revision: gateway.acknowledged,
        acknowledged_at: gateway.acknowledged_at.map(|time| time.to_string()),
        first_seen: gateway.first_seen.to_string(),
        last_seen: gateway.last_seen.to_string(),
    }
}
