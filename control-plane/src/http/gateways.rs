//! `GET /v1/gateways`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::Listing;
use crate::app::App;
use crate::error::ErrorEnvelope;
use crate::gateways::GatewayView;

/// A gateway: one Envoy process.
#[derive(Serialize, ToSchema)]
#[schema(as = Gateway)]
struct GatewayBody {
    /// The name that it gives itself.
    id: String,
    /// Version of its filter.
    version: Option<String>,
    /// True when changes are expected to reach it.
    connected: bool,
    /// The last revision that all its workers enforce; null while it has no table.
    acknowledged_revision: Option<u64>,
    /// When it acknowledged that (RFC 3339).
    acknowledged_at: Option<String>,
    /// How many revisions it is behind; null while it has no table.
    behind: Option<u64>,
    /// Its first poll (RFC 3339).
    first_seen: String,
    /// Its last poll (RFC 3339).
    last_seen: String,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// All gateways that were seen within the last day.
#[utoipa::path(get, path = "/v1/gateways", operation_id = "list_gateways",
    tag = "gateways", security(("admin" = [])), responses(
    (status = 200, body = Listing<GatewayBody>),
    (status = 401, body = ErrorEnvelope)))]
async fn list(State(app): State<App>) -> Listing<GatewayBody> {
    let revision = app.store.head().revision;
    let body = |gateway: GatewayView| GatewayBody {
        behind: gateway.acknowledged.map(|acknowledged| revision.saturating_sub(acknowledged)),
        id: gateway.id,
        version: gateway.version,
        connected: gateway.connected,
        acknowledged_revision: gateway.acknowledged,
        acknowledged_at: gateway.acknowledged_at.map(|time| time.to_string()),
        first_seen: gateway.first_seen.to_string(),
        last_seen: gateway.last_seen.to_string(),
    };
    Listing::new(app.gateways.list().into_iter().map(body).collect(), None)
}
