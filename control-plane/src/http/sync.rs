//! `GET /sync/v1/changes`, for gateways. The page is the protocol's own form, without our envelope; errors have it.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Address;
use super::error::ErrorEnvelope;
use super::extract::{Query, wait};
use crate::contract::SESSION_HEADER;
use crate::contract::{KeyHash, Protocol, Session, is_name};
use crate::domain::credentials::{Credential, ID_PART, is_id_part};
use crate::domain::error::{Error, Problems};
use crate::service::sync::{ChangesRequest, MAX_WAIT, page_limit};

/// A poll. Parameters that are not known are ignored: the gateway may be newer than we are.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ChangesQuery {
    /// Epoch of the gateway's table; nothing while it has none.
    epoch: Option<String>,
    /// The revision that every worker of the gateway enforces.
    after: Option<u64>,
    /// The tag of that revision, as the page had it; nothing when the gateway knows none.
    tag: Option<String>,
    /// Name of the gateway: 1 to 64 letters, digits, `_`, `-`, `.`, not `.` or `..`.
    gateway: Option<String>,
    /// Most records in the answer, 1 to 5000.
    limit: Option<u32>,
    /// How long to hold the request when there is nothing new: `25` or `25s`, at most 60 s.
    wait: Option<String>,
    /// `true` when the gateway refuses requests because no answer has confirmed its table for too long.
    stale: Option<bool>,
    /// How many live VMs of the gateway's filter decide requests by the table.
    workers: Option<u32>,
    /// The version of the protocol that every worker of the gateway understands; 1 when it is not given. To one that does not understand 2,
    /// keys that need it are gone.
    accepts: Option<u32>,
    /// `true` while a filter of the gateway is in shadow: nothing is refused there. Nothing from a gateway that does not say.
    shadow: Option<bool>,
    /// During a reset: the last hash that arrived.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(changes))
}

/// What changed after a revision, or a part of the whole table. `after` acknowledges what the gateway enforces.
#[utoipa::path(get, path = "/sync/v1/changes", operation_id = "get_changes",
    tag = "sync", params(ChangesQuery), security(("sync" = [])), responses(
    (status = 200, description = "A page of the sync protocol: epoch, revision, tag, more, reset, upserts, removals",
        body = Object),
    (status = 401, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn changes(
    State(app): State<App>,
    Extension(credential): Extension<Credential>,
    Address(address): Address,
    headers: HeaderMap,
    Query(query): Query<ChangesQuery>,
) -> Result<Response, Error> {
    let request = ChangesRequest { address, ..query.check(credential, &headers)? };
    let page = app.sync.changes(request).await?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], page)
        .into_response())
}

impl ChangesQuery {
    fn check(self, credential: Credential, headers: &HeaderMap) -> Result<ChangesRequest, Error> {
        let mut problems = Problems::default();
        let gateway = self.gateway.unwrap_or_default();
        if !is_id_part(&gateway) {
            problems.add("gateway", ID_PART);
        }
        let cursor = self.cursor.as_deref().map(KeyHash::from_hex);
        if cursor == Some(None) {
            problems.add("cursor", "must be 64 hexadecimal digits");
        }
        let session = session(headers, &mut problems);
        problems.check()?;
        let tag = self.tag.unwrap_or_default();
        let (shown, tag) = Protocol::of_tag(&tag);
        Ok(ChangesRequest {
            credential,
            address: None,
            gateway,
            session,
            version: version(headers),
            epoch: self.epoch.filter(|epoch| !epoch.is_empty()),
            after: self.after.unwrap_or(0),
            tag: Some(tag.to_owned()).filter(|tag| !tag.is_empty()),
            accepts: Protocol::from_accepts(self.accepts.unwrap_or(1)),
            shown,
            limit: page_limit(self.limit),
            wait: wait(self.wait.as_deref(), MAX_WAIT)?,
            stale: self.stale.unwrap_or(false),
            workers: self.workers,
            shadow: self.shadow,
            cursor: cursor.flatten(),
        })
    }
}

/// SHA-256 of the session that the process says it is.
pub(super) fn session(headers: &HeaderMap, problems: &mut Problems) -> Option<[u8; 32]> {
    let mut values = headers.get_all(SESSION_HEADER).iter();
    let (value, more) = (values.next()?, values.next());
    let session = value.to_str().ok().filter(|_| more.is_none()).and_then(Session::from_hex);
    if session.is_none() {
        problems.add(SESSION_HEADER, "must be 32 hexadecimal digits, once");
    }
    session.map(|session| session.digest())
}

/// `1.2.3` of `user-agent: flamegate/1.2.3`; anything else is not a gateway's program that we know.
fn version(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    let version = agent.strip_prefix("flamegate/")?.split_ascii_whitespace().next()?;
    is_name(version).then(|| version.to_owned())
}
