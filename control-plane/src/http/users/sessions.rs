//! `/v1/users/{id}/sessions`.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::error::Error;
use crate::domain::sessions::Session;
use crate::http::app::App;
use crate::http::caller::By;
use crate::http::envelope::{Listing, Success};
use crate::http::error::{ErrorEnvelope, Failure};
use crate::http::extract::{PathId, Query};
use crate::http::paging::{cursor, no_cursor, page_size};
use crate::service::users::SESSIONS_SHOWN;

/// A session in the pages.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionBody {
    /// To end it by.
    #[schema(example = "ses_1f0c93aa52b7e4d801")]
    id: String,
    /// When the user signed in (RFC 3339).
    began: String,
    /// When it was last used, give or take a minute (RFC 3339).
    last_seen: String,
    /// Where it was last used from.
    address: Option<String>,
    /// What its browser calls itself.
    user_agent: Option<String>,
}

/// What was ended.
#[derive(Serialize, ToSchema)]
#[schema(as = EndedSession)]
pub(super) struct EndedBody {
    /// The session.
    id: String,
}

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Most entries, 1 to 200; 200 when it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// The sessions in which a user is signed in, the last used first; at most 200 at once.
#[utoipa::path(get, path = "/v1/users/{id}/sessions", operation_id = "list_user_sessions",
    tag = "users", security(("admin" = ["operator"])),
    params(("id" = String, Path, description = "`usr_…` or e-mail address"), ListQuery), responses(
    (status = 200, body = Listing<SessionBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 422, body = ErrorEnvelope)))]
pub(super) async fn list(
    State(app): State<App>,
    PathId(id): PathId,
    Query(query): Query<ListQuery>,
) -> Result<Listing<SessionBody>, Error> {
    let limit = page_size(Some(query.limit.unwrap_or(SESSIONS_SHOWN)))?;
    let behind = cursor(query.cursor.as_deref())?.unwrap_or(0);
    let behind = u32::try_from(behind).map_err(|_| no_cursor())?;
    let user = app.users.find(&id).await?;
    let (sessions, next) = app.users.sessions(&user, (behind, limit)).await?;
    Ok(Listing::new(sessions.into_iter().map(SessionBody::from).collect(), next.map(i64::from)))
}

/// Ends one session of a user. The next request with its cookie is nobody's, at every control plane.
#[utoipa::path(delete, path = "/v1/users/{id}/sessions/{session}", operation_id = "end_user_session",
    tag = "users", security(("admin" = ["operator"])), params(
        ("id" = String, Path, description = "`usr_…` or e-mail address"),
        ("session" = String, Path, description = "`ses_…`")), responses(
    (status = 200, body = Success<EndedBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
pub(super) async fn end(
    State(app): State<App>,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
    By(by): By,
) -> Result<Success<EndedBody>, Failure> {
    let not_text = |_| Failure::BadRequest("the path is not UTF-8".to_owned());
    let Path((user, id)) = path.map_err(not_text)?;
    let user = app.users.find(&user).await?;
    app.users.end_session(&user, &id, by).await?;
    Ok(Success::new(EndedBody { id }))
}

impl From<Session> for SessionBody {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            began: session.began.to_string(),
            last_seen: session.seen.to_string(),
            address: session.address.map(|address| address.to_string()),
            user_agent: session.agent,
        }
    }
}
