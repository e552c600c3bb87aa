//! Signing in by a provider of identities: the way there and back. What a sign-in is made of is in a cookie of its own meanwhile.
//!
//! Both steps have a sign-in's places, because the provider is asked in them. Who comes back without the cookie that they left with, or
//! with another one's state, has begun nothing here.

use std::net::IpAddr;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;

use super::error::PageError;
use super::query::escape_place;
use super::session;
use super::sign_in::{own_path, told};
use crate::domain::error::Error;
use crate::domain::oidc::Identity;
use crate::http::app::App;
use crate::http::caller::{Address, is_secure};
use crate::http::error::Failure as Refusal;
use crate::http::extract::Query;
use crate::service::oidc::{Failure, Oidc, Returned};
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
const COOKIE: &str = "flamegate_oidc";
const EXPIRED: &str = "This sign-in took too long or was begun somewhere else. Begin again.";

/// Sends the browser to the provider.
pub(super) async fn begin(
    State(app): State<App>,
    headers: HeaderMap,
    Query(query): Query<BeginQuery>,
) -> Result<Response, PageError> {
    let oidc = provider(&app)?;
    let next = own_path(query.next.as_deref().filter(|next| next.len() <= MAX_NEXT).unwrap_or_default());
    match oidc.begin(next).await {
        Ok(way) => {
            let mut response = Redirect::to(&way.url).into_response();
            set_cookie(&mut response, &way.cookie, 600, is_secure(&app, &headers))?;
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
    let Some(ticket) = oidc.ticket(cookie(&headers), &returned) else {
        return Ok(told(&app, "/", StatusCode::BAD_REQUEST, EXPIRED));
    };
    let next = own_path(&ticket.next);
    let mut response = match oidc.finish(&ticket, &returned).await {
        Ok(identity) => {
            let from = session::From::of(address, &headers);
            enter(&app, &session, identity, (from, address), next).await?
        }
        Err(failure) => refuse(&app, next, failure)?,
    };
    // One sign-in, one cookie.
    set_cookie(&mut response, "", 0, is_secure(&app, &headers))?;
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
        Ok(_) => Ok(told(
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

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

fn set_cookie(response: &mut Response, value: &str, seconds: u32, secure: bool) -> Result<(), Error> {
    let secure = if secure { "; Secure" } else { "" };
    // Lax: the browser comes back from another site, by a link.
    let text =
        format!("{COOKIE}={value}; Path=/sign-in/oidc; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_str(&text).map_err(Error::internal)?);
    Ok(())
}
