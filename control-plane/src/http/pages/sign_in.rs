//! Signing in and out.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use super::error::PageError;
use super::form::{Fields, Posted};
use super::session;
use super::view::{Assets, html};
use crate::app::App;
use crate::error::Error;
use crate::http::caller::Address;
use crate::http::extract::Query;
use crate::users::SignIn;
use crate::users::password::Password;

/// Where to go afterwards.
#[derive(Deserialize)]
pub(super) struct AskQuery {
    next: Option<String>,
    /// Set after signing out.
    bye: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    assets: Assets,
    email: &'a str,
    next: &'a str,
    problem: &'a str,
    notice: &'a str,
}

/// The form.
pub(super) async fn ask(
    State(app): State<App>,
    session: Session,
    Query(query): Query<AskQuery>,
) -> Result<Response, PageError> {
    let next = own_path(query.next.as_deref().unwrap_or_default());
    if session::current(&app, &session).await?.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let notice = match query.bye.as_deref() {
        None => "",
        Some("everywhere") => "You are signed out on all your devices.",
        Some("password") => "Your password is changed. Sign in with the new one.",
        Some(_) => "You are signed out.",
    };
    Ok(html(&SignInPage { assets: Assets::new(), email: "", next, problem: "", notice }))
}

/// Checks the password and begins a session.
pub(super) async fn sign_in(
    State(app): State<App>,
    Address(address): Address,
    session: Session,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, PageError> {
    // There is no session yet whose token could prove it, so the browser has to say where the form was. All do.
    if !headers.contains_key("sec-fetch-site") && !headers.contains_key(header::ORIGIN) {
        return Err(PageError::Forgery);
    }
    let (email, next) = (fields.text("email"), own_path(fields.text("next")));
    let password = Password::new(fields.raw("password").to_owned());
    let refuse = |status: StatusCode, problem: &str| {
        (status, html(&SignInPage { assets: Assets::new(), email, next, problem, notice: "" }))
            .into_response()
    };
    match app.users.sign_in(email, password, address).await? {
        SignIn::Welcome(user) => {
            session::begin(&app, &session, &user).await?;
            Ok(Redirect::to(next).into_response())
        }
        SignIn::Refused => {
            Ok(refuse(StatusCode::UNAUTHORIZED, "The e-mail address or the password is not right."))
        }
        SignIn::TooMany(wait) => {
            let seconds = wait.as_secs() + 1;
            let text = format!("Too many attempts. Wait {seconds} seconds, then try again.");
            let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, &text);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
    }
}

/// Ends the session.
pub(super) async fn sign_out(State(app): State<App>, posted: Posted) -> Result<Redirect, PageError> {
    let signed_in = posted.signed_in;
    signed_in.session.flush().await.map_err(Error::internal)?;
    app.users.signed_out(&signed_in.user, signed_in.address.0).await?;
    Ok(Redirect::to("/sign-in?bye=1"))
}

/// A path of this site; everything else, such as `//example.com`, would lead away from it.
fn own_path(path: &str) -> &str {
    let plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if path.starts_with('/') && !path.starts_with("//") && plain { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_stays_on_this_site() {
        assert_eq!(own_path("/w/demo/settings"), "/w/demo/settings");
        for away in ["https://example.com", "//example.com", "/\\example.com", "", "w", "/a\nb", "/ä"] {
            assert_eq!(own_path(away), "/", "{away}");
        }
    }
}
