//! `GET /sync/v1/changes`, for gateways. The page is the protocol's own form, without our envelope; errors have it.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use flamegate::api_key::KeyHash;
use flamegate::record::is_name;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Query, wait};
use crate::app::App;
use crate::error::{Error, ErrorEnvelope, Problems};
use crate::sync::{ChangesRequest, MAX_WAIT, page_limit};

/// A poll. Parameters that are not known are ignored: the gateway may be newer than we are.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ChangesQuery {
    /// Epoch of the gateway's table; nothing while it has none.
    epoch: Option<String>,
    /// The revision that every worker of the gateway enforces.
    after: Option<u64>,
    /// Name of the gateway: 1 to 64 letters, digits, `_`, `-`, `.`.
    gateway: Option<String>,
    /// Most records in the answer, 1 to 5000.
    limit: Option<u32>,
    /// How long to hold the request when there is nothing new: `25` or `25s`, at most 60 s.
    wait: Option<String>,
    /// During a reset: the last hash that arrived.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(changes))
}

/// What changed after a revision, or a part of the whole table. `after` acknowledges what the gateway enforces.
#[utoipa::path(get, path = "/sync/v1/changes", operation_id = "get_changes",
    tag = "sync", params(ChangesQuery), security(("sync" = [])), responses(
    (status = 200, description = "A page of sync protocol v1: epoch, revision, more, reset, upserts, removals",
        body = Object),
    (status = 401, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn changes(
    State(app): State<App>,
    headers: HeaderMap,
    Query(query): Query<ChangesQuery>,
) -> Result<Response, Error> {
    let page = app.sync.changes(query.check(version(&headers))?).await?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], page)
        .into_response())
}

impl ChangesQuery {
    fn check(self, version: Option<String>) -> Result<ChangesRequest, Error> {
        let mut problems = Problems::default();
        let gateway = self.gateway.unwrap_or_default();
        if !is_name(&gateway) {
            problems.add("gateway", "1 to 64 letters, digits, '_', '-' or '.'");
        }
        let cursor = self.cursor.as_deref().map(KeyHash::from_hex);
        if cursor == Some(None) {
            problems.add("cursor", "must be 64 hexadecimal digits");
        }
        problems.check()?;
        Ok(ChangesRequest {
            gateway,
            version,
            epoch: self.epoch.filter(|epoch| !epoch.is_empty()),
            after: self.after.unwrap_or(0),
            limit: page_limit(self.limit),
            wait: wait(self.wait.as_deref(), MAX_WAIT)?,
            cursor: cursor.flatten(),
        })
    }
}

/// `1.2.3` of `user-agent: flamegate/1.2.3`; anything else is not a gateway's program that we know.
fn version(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    let version = agent.strip_prefix("flamegate/")?.split_ascii_whitespace().next()?;
    is_name(version).then(|| version.to_owned())
}
