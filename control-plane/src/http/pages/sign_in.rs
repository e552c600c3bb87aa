//! Signing in and out.
//!
//! A right password leads back to this page with a mark, and only from here onwards: a browser that has not kept the session's
//! cookie, because it came without TLS or because its user wants none, would otherwise see an empty form again and no reason.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use super::device::Devices;
use super::error::PageError;
use super::fields::Fields;
use super::form::Posted;
use super::query::escape_place;
use super::view::{Assets, html};
use super::{code_form, session, way_back};
use crate::domain::error::Error;
use crate::domain::users::password::Password;
use crate::http::app::App;
use crate::http::caller::Address;
use crate::http::error::Failure;
use crate::http::extract::Query;
use crate::service::oidc::Oidc;
use crate::service::users::SignIn;

/// Where to go afterwards.
#[derive(Deserialize)]
pub(super) struct AskQuery {
    next: Option<String>,
    /// Set after signing out.
    bye: Option<String>,
    /// Set when a session ended meanwhile: how somebody left.
    ended: Option<String>,
    /// Set after a password that was right.
    entered: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    assets: Assets,
    email: &'a str,
    next: &'a str,
    problem: &'a str,
    notice: &'a str,
    /// The browser has not kept the cookie.
    unkept: bool,
    /// Where the pages are, when that is by TLS. Configured: a header could name another place.
    origin: Option<&'a str>,
    /// What people call the provider of identities, if there is one.
    provider: Option<&'a str>,
    /// Whether there are passwords.
    passwords: bool,
    /// The way to the provider.
    way: String,
}

impl<'a> SignInPage<'a> {
    /// The form, with nothing to say.
    fn new(app: &'a App, next: &'a str) -> Self {
        let origin = app.pages.public_origin.as_deref().filter(|_| app.pages.is_secure());
        let (provider, passwords) = (app.oidc.as_ref().map(Oidc::name), app.pages.passwords);
        let way = format!("/sign-in/oidc?next={}", escape_place(next));
        let assets = Assets::new();
        Self {
            assets,
            email: "",
            next,
            problem: "",
            notice: "",
            unkept: false,
            origin,
            provider,
            passwords,
            way,
        }
    }
}

/// The form.
pub(super) async fn ask(
    State(app): State<App>,
    session: Session,
    Query(query): Query<AskQuery>,
) -> Result<Response, PageError> {
    let next = own_path(query.next.as_deref().unwrap_or_default());
    if session::current(&app, &session, None).await?.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let notice = match query.bye.as_deref() {
        None => way_back::notice(query.ended.as_deref().unwrap_or_default()),
        Some("everywhere") => "You are signed out on all your devices.",
        Some("password") => "Your password is changed. Sign in with the new one.",
        Some(_) => "You are signed out.",
    };
    let unkept = query.entered.is_some();
    Ok(html(&SignInPage { notice, unkept, ..SignInPage::new(&app, next) }))
}

/// Checks the password and begins a session.
pub(super) async fn sign_in(
    State(app): State<App>,
    Address(address): Address,
    session: Session,
    devices: Devices,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, PageError> {
    // There is no session yet whose token could prove it, so the browser has to say where the form was. All do.
    if !headers.contains_key("sec-fetch-site") && !headers.contains_key(header::ORIGIN) {
        return Err(PageError::Forgery);
    }
    if !app.pages.passwords {
        return Err(PageError::Failed(Failure::NoRoute));
    }
    let (email, next) = (fields.text("email"), own_path(fields.text("next")));
    let password = Password::new(fields.raw("password").to_owned());
    let refuse = |status: StatusCode, problem: &str| {
        (status, html(&SignInPage { email, problem, ..SignInPage::new(&app, next) })).into_response()
    };
    match app.users.sign_in(email, password, address, &devices.0).await? {
        SignIn::Welcome(user) => {
            app.sign_in_failures.trust(address);
            session::begin(&app, &session, &user, session::From::of(address, &headers)).await?;
            let back = Redirect::to(&format!("/sign-in?entered=1&next={}", escape_place(next)));
            Ok((devices.remember(&app, &user)?, back).into_response())
        }
        SignIn::CodeNext(half) => Ok(code_form::ask(&app, &half, next)),
        SignIn::Refused => {
            app.sign_in_failures.is_first(address);
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

/// The form, with why somebody did not come in.
pub(super) fn told(app: &App, next: &str, status: StatusCode, problem: &str) -> Response {
    (status, html(&SignInPage { problem, ..SignInPage::new(app, next) })).into_response()
}

/// Ends the session.
pub(super) async fn sign_out(State(app): State<App>, posted: Posted) -> Result<Redirect, PageError> {
    let signed_in = posted.signed_in;
    signed_in.session.flush().await.map_err(Error::internal)?;
    app.users.signed_out(&signed_in.user, signed_in.address.0).await?;
    Ok(Redirect::to("/sign-in?bye=1"))
}

/// A path of this site; everything else, such as `//example.com`, would lead away from it.
pub(super) fn own_path(path: &str) -> &str {
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
