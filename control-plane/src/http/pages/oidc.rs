//! Signing in by a provider of identities: the way there and back. What a sign-in is made of is in a cookie of its own meanwhile.
//!
//! Both steps have few places of their own, because the provider is asked in them. Who comes back without the cookie that they left with, or
//! with another one's state, has begun nothing here.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use super::cookies;
use super::error::PageError;
use super::query::escape_place;
use super::session;
use super::sign_in::{own_path, told};
use crate::domain::error::Error;
use crate::domain::oidc::Identity;
use crate::http::app::App;
use crate::http::caller::Address;
use crate::http::error::Failure as Refusal;
use crate::http::extract::Query;
use crate::service::oidc::{Failure, Oidc, Returned};
use crate::service::throttle::Attempt;
use crate::service::users::SignIn;

/// Where to go afterwards.
#[derive(Deserialize)]
pub(super) struct BeginQuery {
    next: Option<String>,
}

/// What the provider adds to the address.
#[derive(Deserialize)]
pub(super) struct BackQuery {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
}

/// A cookie has room for a way of this length, and not for every one.
const MAX_NEXT: usize = 1024;
const EXPIRED: &str = "This sign-in took too long or was begun somewhere else. Begin again.";

/// Sends the browser to the provider.
pub(super) async fn begin(
    State(app): State<App>,
    Query(query): Query<BeginQuery>,
) -> Result<Response, PageError> {
    let oidc = provider(&app)?;
    let next = own_path(query.next.as_deref().filter(|next| next.len() <= MAX_NEXT).unwrap_or_default());
    match oidc.begin(next).await {
        Ok(way) => {
            let mut response = Redirect::to(&way.url).into_response();
            set_cookie(&app, &mut response, &way.cookie, 600)?;
            Ok(response)
        }
        Err(failure) => refuse(&app, next, failure),
    }
}

/// Takes the browser back.
pub(super) async fn back(
    State(app): State<App>,
    Address(address): Address,
    session: Session,
    headers: HeaderMap,
    Query(query): Query<BackQuery>,
) -> Result<Response, PageError> {
    let oidc = provider(&app)?;
    let returned = Returned { code: query.code, state: query.state, issuer: query.iss };
    let Some(ticket) = oidc.ticket(cookie(&app, &headers), &returned) else {
        return Ok(told(&app, "/", StatusCode::BAD_REQUEST, EXPIRED));
    };
    let next = own_path(&ticket.next);
    // Each costs a question to the provider, in our name: who brings codes that are none is slowed down by where they come from.
    let place = address.map(|address| address.to_string()).unwrap_or_default();
    let (throttle, attempt) = (app.users.throttle(), Attempt::of_stranger(&place, address));
    if let Err(wait) = throttle.admit(attempt, 1) {
        return Ok(too_many(&app, next, wait));
    }
    if !oidc.take(&ticket) {
        return Ok(told(&app, next, StatusCode::BAD_REQUEST, EXPIRED));
    }
    let mut response = match oidc.finish(&ticket, &returned).await {
        Ok(identity) => {
            let from = session::From::of(address, &headers);
            enter(&app, &session, identity, (from, address), next).await?
        }
        Err(failure) => {
            app.sign_in_failures.is_first(address);
            refuse(&app, next, failure)?
        }
    };
    if response.status().is_redirection() {
        throttle.give_back(attempt);
    }
    // One sign-in, one cookie.
    set_cookie(&app, &mut response, "", 0)?;
    Ok(response)
}

async fn enter(
    app: &App,
    session: &Session,
    identity: Identity,
    (from, address): (session::From, Option<IpAddr>),
    next: &str,
) -> Result<Response, PageError> {
    match app.users.sign_in_by_provider(identity, address).await {
        Ok(SignIn::Welcome(user)) => {
            app.sign_in_failures.trust(address);
            session::begin(app, session, &user, from).await?;
            // The device's cookie is for passwords, and stays at home on the way back from another site.
            Ok(Redirect::to(&format!("/sign-in?entered=1&next={}", escape_place(next))).into_response())
        }
        Ok(SignIn::TooMany(wait)) => Ok(too_many(app, next, wait)),
        // A provider asks for whatever it wants; we ask for no code behind it.
        Ok(SignIn::Refused | SignIn::CodeNext(_)) => Ok(told(
            app,
            next,
            StatusCode::FORBIDDEN,
            "You have no place here. Ask whoever runs Flamegate for one.",
        )),
        Err(Error::Conflict { message, .. }) => Ok(told(app, next, StatusCode::CONFLICT, &message)),
        Err(error) => Err(error.into()),
    }
}

/// What went wrong, for the person; what was wrong with the provider is for the log.
fn refuse(app: &App, next: &str, failure: Failure) -> Result<Response, PageError> {
    match failure {
        Failure::Refused(words) => Ok(told(app, next, StatusCode::FORBIDDEN, words)),
        Failure::Token(flaw) => {
            tracing::warn!(?flaw, "an ID token of the provider is not to be believed");
            Ok(told(
                app,
                next,
                StatusCode::BAD_GATEWAY,
                "The provider's answer cannot be believed. Begin again.",
            ))
        }
        Failure::Away(why) => {
            tracing::warn!(why, "the provider of identities cannot be asked");
            Ok(told(
                app,
                next,
                StatusCode::BAD_GATEWAY,
                "The provider does not answer right now. Try again in a moment.",
            ))
        }
        Failure::Ours(error) => Err(error.into()),
    }
}

fn provider(app: &App) -> Result<&Oidc, PageError> {
    app.oidc.as_ref().ok_or(PageError::Failed(Refusal::NoRoute))
}

fn too_many(app: &App, next: &str, wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    let text = format!("Too many attempts. Wait {seconds} seconds, then try again.");
    let mut response = told(app, next, StatusCode::TOO_MANY_REQUESTS, &text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn cookie<'h>(app: &App, headers: &'h HeaderMap) -> Option<&'h str> {
    let wanted = cookies::name(app, "oidc");
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

fn set_cookie(app: &App, response: &mut Response, value: &str, seconds: u32) -> Result<(), Error> {
    let (name, secure) = (cookies::name(app, "oidc"), if app.pages.is_secure() { "; Secure" } else { "" });
    // Lax: the browser comes back from another site, by a link.
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_str(&text).map_err(Error::internal)?);
    Ok(())
}
