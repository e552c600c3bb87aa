//! `/v1/replicas`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::envelope::Listing;
use super::error::ErrorEnvelope;
use crate::domain::replicas::Replica;

/// A control plane that serves this database.
#[derive(Serialize, ToSchema)]
#[schema(as = Replica)]
struct ReplicaBody {
    /// Its id, another one after each start.
    #[schema(example = "r_4f0bXkqS7dYt2mVhJc9w")]
    id: String,
    /// True for the one that answers.
    this: bool,
    /// Its program's version.
    version: String,
    /// When it began (RFC 3339).
    started_at: String,
    /// Polls of gateways that it holds.
    polls_held: u32,
    /// False when it has said nothing for more than five seconds: it is dead, frozen, or cut off from the database.
    answers: bool,
    /// The revision that all gateways which it answered below are counted with; receipts wait for it.
    revision: u64,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The control planes that serve this database, oldest first, and for a while those that have ended. None with SQLite, where there is one.
#[utoipa::path(get, path = "/v1/replicas", operation_id = "list_replicas",
    tag = "gateways", security(("admin" = ["operator"])), responses(
    (status = 200, body = Listing<ReplicaBody>),
    (status = 401, body = ErrorEnvelope)))]
async fn list(State(app): State<App>) -> Listing<ReplicaBody> {
    let this = app.gateways.replica();
    let body = |replica: Replica| ReplicaBody {
        this: this.as_ref() == Some(&replica.id),
        answers: replica.is_alive(),
        version: replica.version,
        started_at: replica.started_at.to_string(),
        polls_held: replica.polls,
        revision: replica.head,
        id: replica.id,
    };
    Listing::new(app.gateways.replicas().into_iter().map(body).collect(), None)
}
