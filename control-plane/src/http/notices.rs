//! `/v1/notices`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Caller;
use super::envelope::Listing;
use super::error::ErrorEnvelope;
use super::extract::Query;
use super::keys::bodies::KeyBody;
use crate::domain::error::Error;
use crate::service::usage::Why;

/// Whose.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct NoticesQuery {
    /// Only of this workspace, by id or slug.
    workspace: Option<String>,
}

/// A key that somebody ought to look at.
#[derive(Serialize, ToSchema)]
#[schema(as = Notice)]
struct NoticeBody {
    /// `ends`: it ends soon; `still_used`: it has ended, and somebody came with it within the last seven days; `unused`: it was not used
    /// for 90 days.
    kind: &'static str,
    /// With `ends`: within how many days, 1, 7 or 30.
    within_days: Option<i64>,
    /// The key.
    api_key: KeyBody,
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Keys that somebody ought to look at: those that have ended and are still used, those that end soon, those that nobody uses. At most
/// 100 of each kind.
#[utoipa::path(get, path = "/v1/notices", operation_id = "list_notices",
    tag = "api-keys", security(("admin" = ["viewer"])), params(NoticesQuery), responses(
    (status = 200, body = Listing<NoticeBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, description = "No such workspace", body = ErrorEnvelope)))]
async fn list(caller: Caller, Query(query): Query<NoticesQuery>) -> Result<Listing<NoticeBody>, Error> {
    let workspace = caller.workspace_row(query.workspace.as_deref()).await?;
    let notices = caller.list(move |app| async move { app.usage.notices(workspace).await }).await?;
    let now = caller.app.clock.now();
    let bodies = notices.into_iter().map(|notice| {
        let (kind, within_days) = match notice.why {
            Why::Ends(days) => ("ends", Some(days)),
            Why::StillUsed => ("still_used", None),
            Why::Unused => ("unused", None),
        };
        NoticeBody { kind, within_days, api_key: caller.key_body(notice.key, now) }
    });
    Ok(Listing::new(bodies.collect(), None))
}
