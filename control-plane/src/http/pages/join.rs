//! The page behind an invitation's link. Whoever has the link may use it once: signed in as whom it is meant for, or with an account
//! that it makes.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use tower_sessions::Session;

use super::device::Devices;
use super::error::PageError;
use super::fields::Fields;
use super::form::Posted;
use super::mistakes::Mistakes;
use super::session;
use super::view::{Assets, Moment, html};
use crate::domain::error::{Error, Problems};
use crate::domain::users::Invitation;
use crate::domain::users::password::{MIN_CHARS, Password};
use crate::http::app::App;
use crate::http::caller::Address;
use crate::http::error::Failure;

#[derive(Template)]
#[template(path = "join.html")]
struct JoinPage {
    assets: Assets,
    workspace: String,
    email: String,
    role: &'static str,
    by: String,
    until: Moment,
    secret: String,
    /// Who is signed in, and their form token.
    signed_in: Option<(String, String)>,
    /// Whether accounts have passwords here.
    passwords: bool,
    min_chars: usize,
    mistakes: Mistakes,
}

/// The page.
pub(super) async fn ask(
    State(app): State<App>,
    Path(secret): Path<String>,
    session: Session,
) -> Result<Response, PageError> {
    let open = app.users.invitation(&secret).await.map_err(gone)?;
    page(&app, &session, secret, open, Problems::default()).await
}

/// A signed-in person joins.
pub(super) async fn accept(
    State(app): State<App>,
    Path(secret): Path<String>,
    posted: Posted,
) -> Result<Redirect, PageError> {
    let signed_in = posted.signed_in;
    let open = app.users.invitation(&secret).await.map_err(gone)?;
    let by = signed_in.actor();
    let user = app.users.accept(&secret, &signed_in.user, by).await.map_err(gone)?;
    let joined = user.memberships.iter().find(|one| one.workspace_seq == open.workspace_seq);
    Ok(Redirect::to(&joined.map_or_else(|| "/".to_owned(), |joined| format!("/w/{}", joined.slug))))
}

/// Somebody without an account makes one and joins.
pub(super) async fn accept_as_new(
    State(app): State<App>,
    Path(secret): Path<String>,
    Address(address): Address,
    session: Session,
    devices: Devices,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, PageError> {
    if !app.pages.passwords {
        return Err(PageError::Failed(Failure::NoRoute));
    }
    // As with signing in: no session yet whose token could prove it, so the browser has to say where the form was.
    if !headers.contains_key("sec-fetch-site") && !headers.contains_key(header::ORIGIN) {
        return Err(PageError::Forgery);
    }
    let open = app.users.invitation(&secret).await.map_err(gone)?;
    let password = Password::new(fields.raw("new").to_owned());
    match app.users.accept_as_new(&secret, password, address).await {
        Ok(user) => {
            session::begin(&app, &session, &user, session::From::of(address, &headers)).await?;
            Ok((devices.remember(&app, &user)?, Redirect::to("/sign-in?entered=1")).into_response())
        }
        Err(Error::Invalid(problems)) => {
            let page = page(&app, &session, secret, open, problems).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(Error::Conflict { message, .. }) => {
            let page = page(&app, &session, secret, open, Problems::one("account", message)).await?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(Error::RateLimited { retry_after_seconds }) => {
            let message = format!("too many attempts: wait {retry_after_seconds} seconds, then try again");
            let page = page(&app, &session, secret, open, Problems::one("account", message)).await?;
            Ok((StatusCode::TOO_MANY_REQUESTS, page).into_response())
        }
        Err(error) => Err(gone(error)),
    }
}

/// A link that is not good is no page that is missing: whoever has it can do something about it.
fn gone(error: Error) -> PageError {
    if matches!(error, Error::NotFound("invitation")) { PageError::NoInvitation } else { error.into() }
}

async fn page(
    app: &App,
    session: &Session,
    secret: String,
    open: Invitation,
    problems: Problems,
) -> Result<Response, PageError> {
    let workspace = app.workspaces.by_row(open.workspace_seq).await?;
    let signed_in = session::current(app, session, None).await?;
    Ok(html(&JoinPage {
        assets: Assets::new(),
        workspace: workspace.name,
        role: open.role.words(),
        by: open.created_by,
        until: Moment::new(open.expires_at),
        email: open.email,
        secret,
        signed_in: signed_in.map(|(user, csrf)| (user.email, csrf)),
        passwords: app.pages.passwords,
        min_chars: MIN_CHARS,
        mistakes: Mistakes::new(&problems),
    }))
}
