//! The second factor of the user's own account: set up with an app, and taken away.
//!
//! What is being set up is on the page and in its form, under our signature, and nowhere else until a code has shown that the app has it.
//! The recovery codes are on that page, too: nothing is shown afterwards, so a form that is sent twice loses nothing.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::account::{Told, is_over, page};
use super::chrome::{Chrome, Section};
use super::device::Devices;
use super::error::PageError;
use super::form::Posted;
use super::mistakes::Mistakes;
use super::qr;
use super::session::{self, SignedIn};
use super::view::html;
use crate::domain::error::{Error, Problems};
use crate::domain::users::password::Password;
use crate::domain::users::second_factor::RecoveryCode;
use crate::http::app::App;
use crate::http::error::Failure;
use crate::service::users::SetUp;

#[derive(Template)]
#[template(path = "second_factor.html")]
struct SetUpPage {
    chrome: Chrome,
    mistakes: Mistakes,
    /// The code to scan, as SVG.
    image: String,
    /// What the image says, for an app on the same device, which cannot scan its own screen.
    uri: String,
    /// The secret in groups of four.
    secret: String,
    codes: Vec<String>,
    sealed: String,
}

const THERE: &str = "/account";

/// The page to set one up.
pub(super) async fn ask(State(app): State<App>, signed_in: SignedIn) -> Result<Response, PageError> {
    need_passwords(&app)?;
    if signed_in.user.has_second_factor {
        return Ok(Redirect::to(THERE).into_response());
    }
    let set_up = SetUp::generate(&signed_in.user)?;
    set_up_page(&app, &signed_in, &set_up, Problems::default())
}

/// Sets it up. All other sessions of the user end, and this one goes on under another cookie.
pub(super) async fn set(
    State(app): State<App>,
    devices: Devices,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, PageError> {
    need_passwords(&app)?;
    let Posted { signed_in, fields } = posted;
    if signed_in.user.has_second_factor {
        return Ok(Redirect::to(THERE).into_response());
    }
    let Some(set_up) = SetUp::open(&app.signer, fields.raw("sealed"), &signed_in.user) else {
        return Ok(Redirect::to("/account/second-factor").into_response());
    };
    let again = |problems| {
        let set_up = SetUp::open(&app.signer, fields.raw("sealed"), &signed_in.user);
        let set_up = set_up.ok_or_else(|| Error::internal("a text that was ours is not any more"))?;
        set_up_page(&app, &signed_in, &set_up, problems)
    };
    if let Err(problems) = count(&app, &signed_in) {
        return Ok((StatusCode::TOO_MANY_REQUESTS, again(problems)?).into_response());
    }
    let current = Password::new(fields.raw("current").to_owned());
    let by = (signed_in.actor(), signed_in.csrf.as_str());
    match app.users.set_second_factor(signed_in.user.clone(), (set_up, fields.raw("code")), current, by).await
    {
        Ok(user) => {
            let from = session::From::of(signed_in.address.0, &headers);
            session::begin(&app, &signed_in.session, &user, from).await?;
            Ok((devices.remember(&app, &user)?, Redirect::to("/account?second=set")).into_response())
        }
        Err(Error::Invalid(problems)) => {
            Ok((StatusCode::UNPROCESSABLE_ENTITY, again(problems)?).into_response())
        }
        // The other click of two has done it, or somebody else has ended the session.
        Err(_) if is_over(&app, &signed_in).await? => {
            Ok(Redirect::to("/sign-in?next=/account").into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes it away.
pub(super) async fn remove(State(app): State<App>, posted: Posted) -> Result<Response, PageError> {
    need_passwords(&app)?;
    let Posted { signed_in, fields } = posted;
    let refuse = async |status: StatusCode, problems| {
        let told = Told { problems, about_second_factor: true, ..Told::default() };
        Ok((status, page(&app, &signed_in, told).await?).into_response())
    };
    if !signed_in.user.has_second_factor {
        return Ok(Redirect::to(THERE).into_response());
    }
    if let Err(problems) = count(&app, &signed_in) {
        return refuse(StatusCode::TOO_MANY_REQUESTS, problems).await;
    }
    let current = Password::new(fields.raw("current").to_owned());
    let by = (signed_in.actor(), signed_in.csrf.as_str());
    match app.users.remove_second_factor(signed_in.user.clone(), fields.raw("code"), current, by).await {
        Ok(()) => Ok(Redirect::to("/account?second=removed").into_response()),
        Err(Error::Invalid(problems)) => refuse(StatusCode::UNPROCESSABLE_ENTITY, problems).await,
        Err(_) if is_over(&app, &signed_in).await? => {
            Ok(Redirect::to("/sign-in?next=/account").into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Each is a hash, so it counts as a change of the person's.
fn count(app: &App, signed_in: &SignedIn) -> Result<(), Problems> {
    match app.people.admit(signed_in.user.seq, app.clock.instant()) {
        Err(Error::RateLimited { retry_after_seconds }) => {
            Err(Problems::one("current", format!("too many changes; wait {retry_after_seconds} seconds")))
        }
        _ => Ok(()),
    }
}

/// Without passwords there is nothing that it could be the second of.
fn need_passwords(app: &App) -> Result<(), PageError> {
    if app.pages.passwords { Ok(()) } else { Err(PageError::Failed(Failure::NoRoute)) }
}

fn set_up_page(
    app: &App,
    signed_in: &SignedIn,
    set_up: &SetUp,
    problems: Problems,
) -> Result<Response, PageError> {
    let origin = app.pages.public_origin.as_deref().and_then(|origin| origin.split_once("://"));
    let place = origin.map_or_else(|| "Flamegate".to_owned(), |(_, host)| format!("Flamegate {host}"));
    let title = if problems.is_empty() { "Second factor" } else { "Error: Second factor" };
    let text = set_up.secret.text();
    let uri = set_up.secret.uri(&signed_in.user.email, &place);
    Ok(html(&SetUpPage {
        chrome: Chrome::new("Second factor", Section::Account, signed_in, None).titled(title),
        mistakes: Mistakes::new(&problems),
        image: qr::svg(&uri, "QR code for the app")?,
        uri,
        secret: text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" "),
        codes: set_up.codes.iter().map(RecoveryCode::shown).collect(),
        sealed: set_up.seal(&app.signer),
    }))
}
