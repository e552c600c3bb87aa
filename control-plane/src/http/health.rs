//! Liveness, readiness and metrics. Open to whoever can reach the port, unless there is a token for metrics: they name no keys
//! and no workspaces, and asking often costs no more than asking now and then.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::envelope::Success;
use super::error::ErrorEnvelope;
use crate::domain::error::Error;
use crate::service::metrics;

/// How the server is.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`: otherwise the answer is an error.
    status: &'static str,
    /// Version of the control plane.
    version: &'static str,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

pub(super) fn metrics_route() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(metrics_text))
}

/// Whether the process is there.
#[utoipa::path(get, path = "/healthz", operation_id = "health",
    tag = "health", responses((status = 200, body = Success<Health>)))]
async fn live() -> Success<Health> {
    Success::new(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Whether the database can be written and the server is not going down.
#[utoipa::path(get, path = "/readyz", operation_id = "readiness",
    tag = "health", responses(
    (status = 200, body = Success<Health>),
    (status = 503, body = ErrorEnvelope)))]
async fn ready(State(app): State<App>) -> Result<Success<Health>, Error> {
    if app.is_ready().await {
        Ok(live().await)
    } else {
        Err(Error::Unavailable("going down, or the database cannot be written"))
    }
}

/// Counters in Prometheus' text format. Keys are counted at most every ten seconds.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics",
    tag = "health", responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = 401, description = "There is a token for metrics, and this is not it", body = ErrorEnvelope)))]
async fn metrics_text(State(app): State<App>) -> Result<Response, Error> {
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], app.metrics_text().await?).into_response())
}
