//! `/v1/database`: which database is served, so that a wrong one shows.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::envelope::Success;
use super::error::ErrorEnvelope;

/// A database.
#[derive(Serialize, ToSchema)]
#[schema(as = Database)]
struct DatabaseBody {
    /// Its absolute path, where the server runs; of a database on a PostgreSQL server its address without password and parameters.
    path: String,
    /// The name of its history; gateways say it with every poll.
    epoch: String,
    /// The last revision of its log; 0 when no key was ever made.
    revision: u64,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(database))
}

/// Which database the server has.
#[utoipa::path(get, path = "/v1/database", operation_id = "database",
    tag = "health", security(("admin" = ["operator"])), responses(
    (status = 200, body = Success<DatabaseBody>),
    (status = 401, body = ErrorEnvelope)))]
async fn database(State(app): State<App>) -> Success<DatabaseBody> {
    let head = app.store.head();
    let path = app.database.to_string();
    Success::new(DatabaseBody { path, epoch: head.epoch, revision: head.revision })
}
