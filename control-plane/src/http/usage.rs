//! `/v1/api-keys/{id}/usage` and `/v1/workspaces/{id}/usage`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Caller;
use super::envelope::Success;
use super::error::ErrorEnvelope;
use super::extract::{PathId, Query};
use crate::domain::error::{Error, Problems};
use crate::domain::keys::Key;
use crate::domain::usage::{Bucket, Minute, Period, Step, Tally, time_of};

/// Which time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TimeQuery {
    /// Begin (RFC 3339); 24 hours before now when it is not given.
    from: Option<String>,
    /// End (RFC 3339); now when it is not given.
    to: Option<String>,
    /// `minute` (kept for 48 hours), `hour` (31 days) or `day` (400 days, UTC); what suits the time when it is not given.
    #[param(pattern = "^(minute|hour|day)$")]
    step: Option<String>,
}

/// Requests by what became of them.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageCounts)]
pub(super) struct TallyBody {
    /// Passed.
    admitted: u64,
    /// Over a limit of the key or its workspace.
    rate_limited: u64,
    /// Outside of the key's restrictions.
    forbidden: u64,
    /// After the key's end.
    expired: u64,
    /// At a gateway that does not accept the key's environment.
    environment: u64,
    /// After the key was revoked: those that the gateways' samples have.
    revoked: u64,
    /// Those of `rate_limited` that have passed in shadow; the others got 429.
    shadow_limited: u64,
    /// Those of `forbidden`, `expired` and `environment` that have passed in shadow; the others got 401 or 403.
    shadow_refused: u64,
}

/// The requests of a minute, an hour or a day.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageBucket)]
struct BucketBody {
    /// Its beginning (RFC 3339).
    start: String,
    #[serde(flatten)]
    tally: TallyBody,
}

/// What a key was used for.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyUsage)]
struct KeyUsageBody {
    /// Id of the key.
    id: String,
    /// `minute`, `hour` or `day`.
    step: &'static str,
    /// Since when there are counts (RFC 3339); null before the first. There is no bucket of before: no data is not 0.
    counted_since: Option<String>,
    /// In order of time.
    buckets: Vec<BucketBody>,
    /// Of all buckets together.
    totals: TallyBody,
    #[serde(flatten)]
    uses: UsesBody,
    /// The gateways where it was used last, at most eight, the latest first.
    gateways: Vec<KeyGatewayBody>,
}

/// A gateway where a key was used.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyGateway)]
struct KeyGatewayBody {
    /// Id of the gateway.
    id: String,
    /// When the key was used there last, in whole hours (RFC 3339).
    last_used_at: Option<String>,
}

/// When a key was used.
#[derive(Serialize, ToSchema)]
pub(super) struct UsesBody {
    /// When it was last used, in whole minutes (RFC 3339); null for never, or before there were counts. Some ten seconds late.
    last_used_at: Option<String>,
    /// Id of the gateway where that was.
    last_used_by: Option<String>,
    /// When somebody last came with it although it had ended, in whole minutes (RFC 3339).
    last_refused_at: Option<String>,
    /// Id of the gateway where that was.
    last_refused_by: Option<String>,
}

/// What the keys of a workspace were used for.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceUsage)]
struct WorkspaceUsageBody {
    /// Id of the workspace.
    id: String,
    /// `minute`, `hour` or `day`.
    step: &'static str,
    /// Since when there are counts (RFC 3339); null before the first.
    counted_since: Option<String>,
    /// In order of time.
    buckets: Vec<BucketBody>,
    /// Of all buckets together.
    totals: TallyBody,
    /// The keys with the most admitted requests on the days that the time touches, of its last 31 days. Of each day the 20 busiest are looked at.
    busiest: Vec<BusiestBody>,
}

/// A busy key.
#[derive(Serialize, ToSchema)]
#[schema(as = BusyApiKey)]
struct BusiestBody {
    /// Id of the key.
    id: String,
    /// Its name.
    name: String,
    /// Enough of the key to recognise it.
    key_hint: String,
    #[serde(flatten)]
    tally: TallyBody,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(of_key)).routes(routes!(of_workspace))
}

/// What a key was used for, in minutes, hours or days.
#[utoipa::path(get, path = "/v1/api-keys/{id}/usage", operation_id = "get_api_key_usage",
    tag = "api-keys", security(("admin" = ["viewer"])),
    params(TimeQuery, ("id" = String, Path, description = "`key_…`")), responses(
    (status = 200, body = Success<KeyUsageBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, description = "Also when the time has more than 1,500 steps", body = ErrorEnvelope)))]
async fn of_key(
    caller: Caller,
    PathId(id): PathId,
    Query(query): Query<TimeQuery>,
) -> Result<Success<KeyUsageBody>, Error> {
    let period = query.check(caller.app.clock.now())?;
    let step = period.step.as_str();
    caller.key(&id).await?;
    let usage = caller.list(move |app| async move { app.usage.of_key(&id, &period).await }).await?;
    Ok(Success::new(KeyUsageBody {
        id: usage.key.id.clone(),
        step,
        counted_since: since(usage.since),
        totals: totals(&usage.buckets),
        buckets: usage.buckets.iter().map(BucketBody::from).collect(),
        gateways: usage
            .gateways
            .into_iter()
            .filter(|_| !caller.is_tenant())
            .map(KeyGatewayBody::from)
            .collect(),
        uses: UsesBody::from(&caller.shown(usage.key)),
    }))
}

/// What all keys of a workspace were used for, and which were used most.
#[utoipa::path(get, path = "/v1/workspaces/{id}/usage", operation_id = "get_workspace_usage",
    tag = "workspaces", security(("admin" = ["viewer"])),
    params(TimeQuery, ("id" = String, Path, description = "Id or slug")), responses(
    (status = 200, body = Success<WorkspaceUsageBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, description = "Also when the time has more than 1,500 steps", body = ErrorEnvelope)))]
async fn of_workspace(
    caller: Caller,
    PathId(id): PathId,
    Query(query): Query<TimeQuery>,
) -> Result<Success<WorkspaceUsageBody>, Error> {
    let period = query.check(caller.app.clock.now())?;
    let step = period.step.as_str();
    caller.workspace(&id).await?;
    let usage = caller.list(move |app| async move { app.usage.of_workspace(&id, &period).await }).await?;
    let busy = |(key, tally): &(Key, Tally)| BusiestBody {
        id: key.id.clone(),
        name: key.name.clone(),
        key_hint: key.hint.clone(),
        tally: tally.into(),
    };
    Ok(Success::new(WorkspaceUsageBody {
        id: usage.workspace.id.clone(),
        step,
        counted_since: since(usage.since),
        totals: totals(&usage.buckets),
        buckets: usage.buckets.iter().map(BucketBody::from).collect(),
        busiest: usage.busiest.iter().map(busy).collect(),
    }))
}

impl TimeQuery {
    fn check(&self, now: Timestamp) -> Result<Period, Error> {
        let mut problems = Problems::default();
        let mut time = |name: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(str::parse::<Timestamp>).transpose();
            parsed.unwrap_or_else(|_| {
                problems.add(name, "must be a time such as 2030-01-31T00:00:00Z");
                None
            })
        };
        let (from, to) = (time("from", &self.from), time("to", &self.to));
        let step = self.step.as_deref().map(Step::named);
        if step == Some(None) {
            problems.add("step", "must be minute, hour or day");
        }
        problems.check()?;
        Period::new(from, to, step.flatten(), now)
    }
}

fn since(minute: Option<Minute>) -> Option<String> {
    minute.and_then(time_of).map(|time| time.to_string())
}

fn totals(buckets: &[Bucket]) -> TallyBody {
    (&Tally::sum(buckets.iter().map(|bucket| &bucket.tally))).into()
}

impl From<(String, Minute)> for KeyGatewayBody {
    fn from((id, hour): (String, Minute)) -> Self {
        Self { id, last_used_at: since(Some(hour)) }
    }
}

impl From<&Bucket> for BucketBody {
    fn from(bucket: &Bucket) -> Self {
        let start = time_of(bucket.start).map(|time| time.to_string()).unwrap_or_default();
        Self { start, tally: (&bucket.tally).into() }
    }
}

impl From<&Tally> for TallyBody {
    fn from(tally: &Tally) -> Self {
        let [
            admitted,
            rate_limited,
            forbidden,
            expired,
            environment,
            revoked,
            shadow_limited,
            shadow_refused,
        ] = tally.counts();
        Self {
            admitted,
            rate_limited,
            forbidden,
            expired,
            environment,
            revoked,
            shadow_limited,
            shadow_refused,
        }
    }
}

impl From<&Key> for UsesBody {
    fn from(key: &Key) -> Self {
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        Self {
            last_used_at: text(key.uses.last_used_at),
            last_used_by: key.uses.last_used_by.clone(),
            last_refused_at: text(key.uses.last_refused_at),
            last_refused_by: key.uses.last_refused_by.clone(),
        }
    }
}
