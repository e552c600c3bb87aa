//! The user's own account: sessions and password.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::form::Posted;
use super::mistakes::Mistakes;
use super::session::SignedIn;
use super::view::html;
use crate::domain::error::{Error, Problems};
use crate::domain::users::password::{MIN_CHARS, Password};
use crate::http::app::App;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    chrome: Chrome,
    mistakes: Mistakes,
    min_chars: usize,
}

/// The page.
pub(super) async fn show(signed_in: SignedIn) -> Response {
    page(&signed_in, Problems::default())
}

/// Gives the user another password and ends all their sessions.
pub(super) async fn change_password(State(app): State<App>, posted: Posted) -> Result<Response, PageError> {
    let Posted { signed_in, fields } = posted;
    let field = |name| Password::new(fields.raw(name).to_owned());
    let (user, by) = (signed_in.user.clone(), signed_in.actor());
    if let Err(Error::RateLimited { retry_after_seconds }) = app.people.admit(user.seq, app.clock.instant()) {
        let problems =
            Problems::one("current", format!("too many changes; wait {retry_after_seconds} seconds"));
        return Ok((StatusCode::TOO_MANY_REQUESTS, page(&signed_in, problems)).into_response());
    }
    match app.users.change_password(user, field("current"), field("new"), by).await {
        Ok(_) => Ok(Redirect::to("/sign-in?bye=password").into_response()),
        // The other click of two has changed it, or somebody else has ended the session.
        Err(_) if is_over(&app, &signed_in).await? => {
            Ok(Redirect::to("/sign-in?next=/account&ended=password").into_response())
        }
        Err(Error::Invalid(mut problems)) => {
            // What is wrong with the new one is told with it.
            if problems.of("password").is_none() {
                field("new").check(&signed_in.user.email, &mut problems);
            }
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&signed_in, problems)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the session has ended since the request came.
async fn is_over(app: &App, signed_in: &SignedIn) -> Result<bool, Error> {
    Ok(app.users.of_session(&signed_in.user.id, &signed_in.user.stamp).await?.is_none())
}

/// Ends all sessions of the user, this one too.
pub(super) async fn sign_out_everywhere(
    State(app): State<App>,
    posted: Posted,
) -> Result<Redirect, PageError> {
    let by = posted.signed_in.actor();
    app.users.sign_out_everywhere(posted.signed_in.user, by).await?;
    Ok(Redirect::to("/sign-in?bye=everywhere"))
}

fn page(signed_in: &SignedIn, problems: Problems) -> Response {
    let title = if problems.is_empty() { "Account" } else { "Error: Account" };
    let chrome = Chrome::new("Account", Section::Account, signed_in, None).titled(title);
    let mistakes = Mistakes::new(&problems);
    html(&AccountPage { chrome, mistakes, min_chars: MIN_CHARS })
}
