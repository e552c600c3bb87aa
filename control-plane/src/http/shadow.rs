//! `/v1/shadow`: what would have been refused and has passed in shadow, for whoever is about to enforce.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::envelope::{Listing, Success};
use super::error::ErrorEnvelope;
use super::extract::Query;
use super::paging::{cursor, no_cursor, page_size};
use crate::domain::error::Error;
use crate::domain::keys::Key;
use crate::domain::lists::MOST_COUNTED;
use crate::domain::shadow::{GatewayShadow, KeySum, MOST_DAYS, ReasonSum};
use crate::domain::usage::{Minute, time_of};
use crate::service::shadow::ShadowReport;

/// Which time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TimeQuery {
    /// How many days (UTC), today included: 1 to 31; 7 when it is not given.
    #[param(minimum = 1, maximum = 31)]
    days: Option<u32>,
}

/// Which time, and which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct KeysQuery {
    /// How many days (UTC), today included: 1 to 31; 7 when it is not given.
    #[param(minimum = 1, maximum = 31)]
    days: Option<u32>,
    /// Most entries, 1 to 200; 50 when it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,5}$")]
    cursor: Option<String>,
}

/// What would have been refused.
#[derive(Serialize, ToSchema)]
#[schema(as = ShadowReport)]
struct ReportBody {
    /// Begin of the first day (RFC 3339).
    from: String,
    /// Keys that are not revoked and would have been refused: see `/v1/shadow/keys`. Of the newest 10,000 rows, one a key and day.
    keys: u64,
    /// Active keys that are in shadow; 10,001 when there are more than 10,000.
    keys_in_shadow: u64,
    /// Connected gateways of which a filter is in shadow.
    gateways_in_shadow: usize,
    /// Connected gateways whose filter is older than these reports: what would be refused there is not known.
    gateways_silent: usize,
    /// Each gateway: those in shadow first, then those that do not say.
    gateways: Vec<GatewayBody>,
}

/// A gateway, and what would have been refused there.
#[derive(Serialize, ToSchema)]
#[schema(as = ShadowGateway)]
struct GatewayBody {
    /// Its id; `<credential>/~others` stands for gateways of that credential beyond 256 a day.
    id: String,
    /// `shadow`: a filter of it is. `enforces`: none is, and only keys in shadow pass. `silent`: it does not say. `gone`: it is not remembered.
    mode: &'static str,
    /// Whether it is connected.
    connected: bool,
    /// Requests by reason, the most frequent one first.
    reasons: Vec<ReasonBody>,
}

/// Requests that would have been refused for one reason.
#[derive(Serialize, ToSchema)]
#[schema(as = ShadowReason)]
struct ReasonBody {
    /// The verdict, as in `flamegate_requests_total`.
    #[schema(example = "rate_limited")]
    verdict: String,
    /// The reason; empty for one that this control plane does not know.
    #[schema(example = "key")]
    reason: String,
    /// How many.
    requests: u64,
    /// Begin of the first day with one (RFC 3339).
    since: Option<String>,
    /// The last minute with one (RFC 3339).
    last_at: Option<String>,
}

/// A key that would have been refused.
#[derive(Serialize, ToSchema)]
#[schema(as = ShadowedApiKey)]
struct KeyBody {
    /// Id of the key.
    id: String,
    /// Its name.
    name: String,
    /// Enough of the key to recognise it.
    key_hint: String,
    /// Slug of its workspace.
    workspace_slug: String,
    /// Whether the key itself is in shadow.
    shadow: bool,
    /// Over a limit.
    rate_limited: u64,
    /// Outside of its restrictions.
    forbidden: u64,
    /// After its end.
    expired: u64,
    /// At a gateway that does not accept its environment.
    environment: u64,
    /// Begin of the first day with one (RFC 3339).
    since: Option<String>,
    /// The last minute with one (RFC 3339).
    last_at: Option<String>,
}

/// Days when nobody says.
pub(super) const DAYS: u32 = 7;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(report)).routes(routes!(keys))
}

/// What would have been refused and has passed in shadow: which gateways do not refuse, for which reasons they would have, and how many
/// keys. Some ten seconds late.
#[utoipa::path(get, path = "/v1/shadow", operation_id = "get_shadow_report", tag = "gateways",
    security(("admin" = ["operator"])), params(TimeQuery), responses(
    (status = 200, body = Success<ReportBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn report(
    State(app): State<App>,
    Query(query): Query<TimeQuery>,
) -> Result<Success<ReportBody>, Error> {
    Ok(Success::new(ReportBody::from(app.shadow.report(days(query.days)?).await?)))
}

/// The keys that would have been refused, the latest first.
#[utoipa::path(get, path = "/v1/shadow/keys", operation_id = "list_shadowed_api_keys", tag = "gateways",
    security(("admin" = ["operator"])), params(KeysQuery), responses(
    (status = 200, body = Listing<KeyBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
async fn keys(State(app): State<App>, Query(query): Query<KeysQuery>) -> Result<Listing<KeyBody>, Error> {
    let (days, limit) = (days(query.days)?, page_size(query.limit)?);
    let offset = cursor(query.cursor.as_deref())?.unwrap_or(0);
    let offset = u32::try_from(offset).ok().filter(|offset| *offset <= MOST_COUNTED).ok_or_else(no_cursor)?;
    let found = app.shadow.keys(days, offset, limit).await?;
    let next = offset.saturating_add(limit);
    let next = (found.total > u64::from(next)).then_some(i64::from(next));
    Ok(Listing::new(found.keys.into_iter().map(KeyBody::from).collect(), next))
}

fn days(asked: Option<u32>) -> Result<u32, Error> {
    match asked.unwrap_or(DAYS) {
        days @ 1..=MOST_DAYS => Ok(days),
        _ => Err(Error::invalid("days", format!("must be 1 to {MOST_DAYS}"))),
    }
}

impl From<ShadowReport> for ReportBody {
    fn from(report: ShadowReport) -> Self {
        let (in_shadow, silent) = report.connected();
        Self {
            from: text(report.from).unwrap_or_default(),
            keys: report.keys,
            keys_in_shadow: report.keys_in_shadow,
            gateways_in_shadow: in_shadow,
            gateways_silent: silent,
            gateways: report.gateways.into_iter().map(GatewayBody::from).collect(),
        }
    }
}

impl From<GatewayShadow> for GatewayBody {
    fn from(gateway: GatewayShadow) -> Self {
        Self {
            id: gateway.id,
            mode: gateway.mode.as_str(),
            connected: gateway.connected,
            reasons: gateway.reasons.into_iter().map(ReasonBody::from).collect(),
        }
    }
}

impl From<ReasonSum> for ReasonBody {
    fn from(sum: ReasonSum) -> Self {
        let (verdict, reason) = sum.reason.split_once('.').unwrap_or((&sum.reason, ""));
        Self {
            verdict: verdict.to_owned(),
            reason: reason.to_owned(),
            requests: sum.shadow.requests,
            since: text(sum.since),
            last_at: text(sum.shadow.last),
        }
    }
}

impl From<(Key, KeySum)> for KeyBody {
    fn from((key, sum): (Key, KeySum)) -> Self {
        Self {
            id: key.id,
            name: key.name,
            key_hint: key.hint,
            workspace_slug: key.workspace_slug,
            shadow: key.shadow,
            rate_limited: sum.shadow.rate_limited,
            forbidden: sum.shadow.forbidden,
            expired: sum.shadow.expired,
            environment: sum.shadow.environment,
            since: text(sum.since),
            last_at: text(sum.shadow.last),
        }
    }
}

fn text(minute: Minute) -> Option<String> {
    time_of(minute).map(|time| time.to_string())
}
