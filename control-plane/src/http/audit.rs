//! `GET /v1/audit`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Caller;
use super::envelope::Listing;
use super::error::ErrorEnvelope;
use super::extract::Query;
use super::paging::page_size;
use crate::domain::audit::{Action, AuditFilter, Entry};
use crate::domain::error::Error;

/// Something that was done.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct EntryBody {
    /// Number of the entry; later ones have greater numbers. A token of one workspace is told others, in no order: these count what is done in
    /// all of them.
    id: i64,
    /// RFC 3339.
    at: String,
    /// Id of the workspace; null for what belongs to none.
    workspace: Option<String>,
    /// Slug of the workspace.
    workspace_slug: Option<String>,
    /// Who.
    actor: ActorBody,
    /// What.
    #[schema(example = "api_key.revoked")]
    action: String,
    /// What it was done to.
    target: TargetBody,
    /// More, depending on the action. Never a secret.
    #[schema(value_type = Object)]
    details: Value,
}

/// Who did it.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditActor)]
struct ActorBody {
    /// `user`, `token` for an operator's token, or `admin_token` for one of the environment.
    kind: String,
    /// The user's or the token's id.
    id: Option<String>,
    /// The user's e-mail address at that time, `token:` and the token's name, or `admin token`.
    name: String,
    /// `page`, `api` or `cli`.
    via: String,
    /// The client's address.
    address: Option<String>,
}

/// What it was done to.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditTarget)]
struct TargetBody {
    /// Its id; null for several keys at once.
    id: Option<String>,
    /// Its name at that time.
    name: String,
}

/// Which entries, and which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only of this workspace, by id or slug.
    workspace: Option<String>,
    /// Only this action, for example `api_key.revoked`.
    action: Option<String>,
    /// Only what was done to the thing with this id, for example a key's.
    target: Option<String>,
    /// Most entries, 1 to 200; 50 when it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// Of numbers and cursors.
const ROWS: &str = "audit";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What was done, newest first. Nothing in it can be changed or deleted.
#[utoipa::path(get, path = "/v1/audit", operation_id = "list_audit_entries",
    tag = "audit", security(("admin" = ["owner"])), params(AuditQuery), responses(
    (status = 200, body = Listing<EntryBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, description = "No such workspace", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn list(caller: Caller, Query(query): Query<AuditQuery>) -> Result<Listing<EntryBody>, Error> {
    let (limit, before) = (page_size(query.limit)?, caller.cursor(ROWS, query.cursor.as_deref())?);
    let action = match &query.action {
        None => None,
        Some(name) => Some(
            Action::named(name).ok_or_else(|| Error::invalid("action", "must be the name of an action"))?,
        ),
    };
    let workspace_seq = caller.workspace_row(query.workspace.as_deref()).await?;
    let filter =
        AuditFilter { workspace_seq, action, target_id: query.target, before, ..AuditFilter::default() };
    let (found, next) = caller.list(move |app| async move { app.audit.list(&filter, limit).await }).await?;
    let number = |row| caller.number(ROWS, row);
    let body = |entry| {
        let body = EntryBody::from(entry);
        EntryBody { id: number(body.id), ..body }
    };
    Ok(Listing::new(found.into_iter().map(body).collect(), next.map(number)))
}

impl From<Entry> for EntryBody {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.seq,
            at: entry.at.to_string(),
            workspace: entry.workspace,
            workspace_slug: entry.workspace_slug,
            actor: ActorBody {
                kind: entry.actor_kind,
                id: entry.actor_id,
                name: entry.actor,
                via: entry.via,
                address: entry.address,
            },
            action: entry.action,
            target: TargetBody { id: entry.target_id, name: entry.target },
            details: entry.details,
        }
    }
}
