//! `/v1/users/{id}/sessions`.

use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::error::Error;
use crate::domain::sessions::Session;
use crate::http::app::App;
use crate::http::caller::By;
use crate::http::envelope::{Listing, Success};
use crate::http::error::{ErrorEnvelope, Failure};
use crate::http::extract::PathId;

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

/// The sessions in which a user is signed in, the last used first; at most 200.
#[utoipa::path(get, path = "/v1/users/{id}/sessions", operation_id = "list_user_sessions",
    tag = "users", security(("admin" = ["operator"])),
    params(("id" = String, Path, description = "`usr_…` or e-mail address")), responses(
    (status = 200, body = Listing<SessionBody>),
    (status = 401, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope)))]
pub(super) async fn list(State(app): State<App>, PathId(id): PathId) -> Result<Listing<SessionBody>, Error> {
    let user = app.users.find(&id).await?;
    let sessions = app.users.sessions(&user).await?;
    Ok(Listing::new(sessions.into_iter().map(SessionBody::from).collect(), None))
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
