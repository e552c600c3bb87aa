//! `/v1/api-keys`.

pub(super) mod bodies;
pub(crate) mod drafts;
mod shown;

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::IntoResponse;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::bodies::{BatchBody, CreatedBody, ImportBatch, KeyBody, ReceiptBody, RevokedBody, UpdatedBody};
use self::drafts::{CreateKey, ImportKey, RotateKey, UpdateKey};
use super::app::App;
use super::caller::{By, Caller};
use super::envelope::{Created, Listing, Success};
use super::error::ErrorEnvelope;
use super::extract::{Idempotency, JsonBody, PathId, Query, wait};
use super::paging::page_size;
use crate::contract::Environment;
use crate::domain::error::{Error, Problems};
use crate::domain::keys::{KeyFilter, Status};
use crate::domain::limits::seconds;
use crate::service::keys::{self, Revoked};
use crate::service::usage::STILL_USED;
use crate::store::Written;

/// Which keys, and which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only of this workspace, by id or slug.
    workspace: Option<String>,
    /// Only of this environment: `live` or `test`.
    #[param(pattern = "^(live|test)$")]
    environment: Option<String>,
    /// Only in this state: `active`, `revoked`, `expired` or `all` (the default).
    #[param(pattern = "^(active|revoked|expired|all)$")]
    status: Option<String>,
    /// Only active keys that were not used for so long, and were there and counted: `90d`, `12h`. A key that was just made takes some seconds.
    #[param(pattern = "^[0-9]{1,6}(s|m|h|d)$")]
    unused_for: Option<String>,
    /// Only keys with this plan.
    plan: Option<String>,
    /// `true`: only keys in shadow, which nothing but operators sets.
    shadow: Option<bool>,
    /// `true`: only keys that have ended, and with which somebody came within the last seven days.
    still_used: Option<bool>,
    /// Most entries, 1 to 200; 50 when it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// Of cursors.
const ROWS: &str = "keys";

/// Whether to wait for the gateways.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// How long to wait until every connected gateway enforces the change: `5s`, `500ms` or `5`, at most 60 s.
    #[param(pattern = "^[0-9]{1,9}(ms|s)?$")]
    wait: Option<String>,
}

/// Longest wait for the gateways.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Where many keys are imported at once.
pub(super) const BATCH_PATH: &str = "/v1/api-keys/import-batch";
/// Longest body of a batch import, in bytes: 1,000 keys with four limits each.
pub(super) const MAX_BATCH_BODY: usize = 2 * 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(show, update))
        .routes(routes!(revoke))
        .routes(routes!(rotate))
        .routes(routes!(import))
        .merge(
            OpenApiRouter::new().routes(routes!(import_batch)).layer(DefaultBodyLimit::max(MAX_BATCH_BODY)),
        )
}

/// Makes a key. The answer is the only one that has its plaintext.
#[utoipa::path(post, path = "/v1/api-keys", operation_id = "create_api_key",
    tag = "api-keys", security(("admin" = ["member"])),
    params(WaitQuery, ("Idempotency-Key" = Option<String>, Header, description = "A repeat within 24 h makes no key")),
    request_body = CreateKey, responses(
    (status = 201, body = Success<CreatedBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 409, description = "ALREADY_CREATED or IDEMPOTENCY_KEY_REUSED; `error.details.id` is the key that was made. CONFLICT: the \
        workspace has as many active keys as it may",
        body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn create(
    Query(query): Query<WaitQuery>,
    Idempotency(again): Idempotency,
    caller: Caller,
    JsonBody(draft): JsonBody<CreateKey>,
) -> Result<impl IntoResponse, Error> {
    let app = &caller.app;
    let wait = wait_of(&query)?;
    caller.check_workspace("workspace", draft.workspace.as_deref())?;
    caller.check_plan(draft.plan.is_some())?;
    let written = app.keys.create(draft.into(), caller.once(again), caller.by.clone()).await?;
    let receipt = receipt_if_asked(&caller, wait, &written).await;
    let keys::Created { key, plaintext } = written.value;
    Ok(Created(CreatedBody {
        api_key: caller.key_body(key, app.clock.now()),
        key: plaintext,
        previous: None,
        receipt,
    }))
}

/// Keys, newest first.
#[utoipa::path(get, path = "/v1/api-keys", operation_id = "list_api_keys",
    tag = "api-keys", security(("admin" = ["viewer"])), params(ListQuery), responses(
    (status = 200, body = Listing<KeyBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, description = "No such workspace", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn list(caller: Caller, Query(query): Query<ListQuery>) -> Result<Listing<KeyBody>, Error> {
    let app = &caller.app;
    let limit = page_size(query.limit)?;
    let filter = filter(&caller, query).await?;
    let (found, next) = caller.list(move |app| async move { app.keys.list(&filter, limit).await }).await?;
    let now = app.clock.now();
    let bodies = found.into_iter().map(|key| caller.key_body(key, now)).collect();
    Ok(Listing::new(bodies, next.map(|row| caller.number(ROWS, row))))
}

/// One key.
#[utoipa::path(get, path = "/v1/api-keys/{id}", operation_id = "get_api_key",
    tag = "api-keys", security(("admin" = ["viewer"])), responses(
    (status = 200, body = Success<KeyBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)), params(("id" = String, Path, description = "`key_…`")))]
async fn show(caller: Caller, PathId(id): PathId) -> Result<Success<KeyBody>, Error> {
    let now = caller.app.clock.now();
    Ok(Success::new(caller.key_body(caller.key(&id).await?, now)))
}

/// Renames a key or changes its expiry or limits.
#[utoipa::path(patch, path = "/v1/api-keys/{id}", operation_id = "update_api_key",
    tag = "api-keys", security(("admin" = ["member"])), request_body = UpdateKey,
    params(WaitQuery, ("id" = String, Path, description = "`key_…`")), responses(
    (status = 200, body = Success<UpdatedBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "A revoked key stays revoked; an expired one comes back only within the quota", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn update(
    PathId(id): PathId,
    Query(query): Query<WaitQuery>,
    caller: Caller,
    JsonBody(patch): JsonBody<UpdateKey>,
) -> Result<Success<UpdatedBody>, Error> {
    let app = &caller.app;
    let wait = wait_of(&query)?;
    caller.key(&id).await?;
    caller.check_plan(patch.plan.is_some())?;
    let written = app.keys.update(&id, patch.into(), caller.by.clone()).await?;
    let receipt = receipt_if_asked(&caller, wait, &written).await;
    Ok(Success::new(UpdatedBody { api_key: caller.key_body(written.value, app.clock.now()), receipt }))
}

/// Ends a key for good and says which gateways refuse it. Revoking it again succeeds.
#[utoipa::path(post, path = "/v1/api-keys/{id}/revoke", operation_id = "revoke_api_key",
    tag = "api-keys", security(("admin" = ["member"])),
    params(WaitQuery, ("id" = String, Path, description = "`key_…`")), responses(
    (status = 200, body = Success<RevokedBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
async fn revoke(
    PathId(id): PathId,
    Query(query): Query<WaitQuery>,
    caller: Caller,
) -> Result<Success<RevokedBody>, Error> {
    let app = &caller.app;
    let wait = wait_of(&query)?.unwrap_or_default();
    // One that works is ended whatever else was done; once more is a change.
    if caller.key(&id).await?.revoked_at.is_some() {
        caller.count_change()?;
    }
    let written = app.keys.revoke(&id, caller.by.clone()).await?;
    app.receipts.revoked(&written);
    let Revoked { key, news } = written.value;
    // A removal that has left the log has no revision any more; whoever is up to date enforces it.
    let revision = key.revision.unwrap_or(written.head.revision);
    let receipt = app.receipt(revision, news.then_some(written.at), wait).await;
    let still = app.keys.still_working(&key).await?;
    let now = app.clock.now();
    Ok(Success::new(RevokedBody {
        receipt: caller.receipt_body(receipt),
        api_key: caller.key_body(key, now),
        still_working: still.into_iter().map(|key| caller.key_body(key, now)).collect(),
    }))
}

/// Makes a key in the place of another one, which ends after a grace. How long that is must be said: 0 is at once.
#[utoipa::path(post, path = "/v1/api-keys/{id}/rotate", operation_id = "rotate_api_key",
    tag = "api-keys", security(("admin" = ["member"])),
    params(WaitQuery, ("id" = String, Path, description = "`key_…`"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat within 24 h makes no key")),
    request_body = RotateKey, responses(
    (status = 201, body = Success<CreatedBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, description = "The key is not active or was rotated before, the Idempotency-Key was used before, or the workspace has \
        as many active keys as it may",
        body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn rotate(
    PathId(id): PathId,
    Query(query): Query<WaitQuery>,
    Idempotency(again): Idempotency,
    caller: Caller,
    JsonBody(draft): JsonBody<RotateKey>,
) -> Result<impl IntoResponse, Error> {
    let app = &caller.app;
    let wait = wait_of(&query)?;
    caller.key(&id).await?;
    let written = app.keys.rotate(&id, draft.into(), caller.once(again), caller.by.clone()).await?;
    app.receipts.rotated(&written);
    let receipt = receipt_if_asked(&caller, wait, &written).await;
    let (keys::Rotated { key, plaintext, previous }, now) = (written.value, app.clock.now());
    let previous = Some(caller.key_body(previous, now));
    Ok(Created(CreatedBody { api_key: caller.key_body(key, now), key: plaintext, previous, receipt }))
}

/// Stores an existing key by its hash.
#[utoipa::path(post, path = "/v1/api-keys/import", operation_id = "import_api_key",
    tag = "api-keys", security(("admin" = ["operator"])),
    request_body = ImportKey, responses(
    (status = 201, body = Success<KeyBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 409, description = "The hash is known (`error.details.id` is its key), or the quota is used up", body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn import(
    State(app): State<App>,
    By(by): By,
    JsonBody(draft): JsonBody<ImportKey>,
) -> Result<impl IntoResponse, Error> {
    let written = app.keys.import(draft.into(), by).await?;
    Ok(Created(KeyBody::new(&written.value, app.clock.now())))
}

/// Stores up to 1,000 existing keys. Known hashes are skipped; one of a key that has ended or is another workspace's is not valid.
/// When one key is not valid none is stored, unless `partial` is true: then the answer says what became of each.
#[utoipa::path(post, path = "/v1/api-keys/import-batch", operation_id = "import_api_keys",
    tag = "api-keys", security(("admin" = ["operator"])),
    request_body = ImportBatch, responses(
    (status = 200, body = Success<BatchBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 409, description = "More active keys than the workspace may have; none was stored", body = ErrorEnvelope),
    (status = 413, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn import_batch(
    State(app): State<App>,
    By(by): By,
    JsonBody(batch): JsonBody<ImportBatch>,
) -> Result<Success<BatchBody>, Error> {
    let written =
        app.keys.import_batch(batch.keys.into_iter().map(Into::into).collect(), batch.partial, by).await?;
    Ok(Success::new(BatchBody::new(written.head.revision, written.value)))
}

async fn filter(caller: &Caller, query: ListQuery) -> Result<KeyFilter, Error> {
    let mut problems = Problems::default();
    let environment = match query.environment.as_deref() {
        None => None,
        Some("live") => Some(Environment::Live),
        Some("test") => Some(Environment::Test),
        Some(_) => {
            problems.add("environment", "must be live or test");
            None
        }
    };
    let status = match query.status.as_deref() {
        None | Some("all") => None,
        Some("active") => Some(Status::Active),
        Some("revoked") => Some(Status::Revoked),
        Some("expired") => Some(Status::Expired),
        Some(_) => {
            problems.add("status", "must be active, revoked, expired or all");
            None
        }
    };
    let now = caller.app.clock.now();
    let ago = |time: SignedDuration| now.checked_sub(time).unwrap_or(Timestamp::MIN);
    let unused_since = query.unused_for.as_deref().and_then(|text| {
        let seconds = seconds(text).filter(|seconds| *seconds > 0);
        if seconds.is_none() {
            problems.add("unused_for", "must be a time such as 90d or 12h");
        }
        seconds.map(SignedDuration::from_secs).map(ago)
    });
    let refused_since = query.still_used.unwrap_or(false).then(|| ago(STILL_USED));
    problems.check()?;
    let before = caller.cursor(ROWS, query.cursor.as_deref())?;
    let workspace_seq = caller.workspace_row(query.workspace.as_deref()).await?;
    Ok(KeyFilter {
        workspace_seq,
        environment,
        status,
        unused_since,
        refused_since,
        plan: query.plan,
        shadow: query.shadow.unwrap_or(false),
        before,
        ..KeyFilter::default()
    })
}

pub(super) fn wait_of(query: &WaitQuery) -> Result<Option<Duration>, Error> {
    query.wait.as_deref().map(|text| wait(Some(text), MAX_WAIT)).transpose()
}

pub(super) async fn receipt_if_asked<T>(
    caller: &Caller,
    wait: Option<Duration>,
    written: &Written<T>,
) -> Option<ReceiptBody> {
    let receipt = caller.app.receipt(written.head.revision, Some(written.at), wait?).await;
    Some(caller.receipt_body(receipt))
}
