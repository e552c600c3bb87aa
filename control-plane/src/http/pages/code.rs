//! The second step of signing in, for whoever has a second factor: the code. Between the steps the form has a text under our signature that
//! says whose password was right, a moment ago.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use tower_sessions::Session;

use super::code_form::page;
use super::device::Devices;
use super::error::PageError;
use super::fields::Fields;
use super::query::escape_place;
use super::session;
use super::sign_in::{own_path, told};
use crate::http::app::App;
use crate::http::caller::Address;
use crate::http::error::Failure;
use crate::service::users::{HalfWay, SignIn};

const OVER: &str = "The password was typed too long ago, or it is another one by now. Begin again.";

/// Checks the code and begins a session.
pub(super) async fn enter(
    State(app): State<App>,
    Address(address): Address,
    session: Session,
    devices: Devices,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, PageError> {
    // As with the password: there is no session yet whose token could prove it.
    if !headers.contains_key("sec-fetch-site") && !headers.contains_key(header::ORIGIN) {
        return Err(PageError::Forgery);
    }
    if !app.pages.passwords {
        return Err(PageError::Failed(Failure::NoRoute));
    }
    let (sealed, next) = (fields.raw("half"), own_path(fields.text("next")));
    let Some(half) = HalfWay::open(&app.signer, sealed, app.clock.now().as_second()) else {
        return Ok(told(&app, next, StatusCode::BAD_REQUEST, OVER));
    };
    let refuse =
        |status: StatusCode, problem: &str| (status, page(sealed.to_owned(), next, problem)).into_response();
    match app.users.sign_in_by_code(&half, fields.raw("code"), address, &devices.0).await? {
        Some(SignIn::Welcome(user)) => {
            app.sign_in_failures.trust(address);
            session::begin(&app, &session, &user, session::From::of(address, &headers)).await?;
            let back = Redirect::to(&format!("/sign-in?entered=1&next={}", escape_place(next)));
            Ok((devices.remember(&app, &user)?, back).into_response())
        }
        Some(SignIn::TooMany(wait)) => {
            let seconds = wait.as_secs() + 1;
            let text = format!(
                "Too many attempts. Wait {seconds} seconds, then begin again, or try a recovery code."
            );
            let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, &text);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
        Some(SignIn::Refused | SignIn::CodeNext(_)) => {
            app.sign_in_failures.is_first(address);
            Ok(refuse(StatusCode::UNAUTHORIZED, "The code is not right, or it was used before."))
        }
        None => Ok(told(&app, next, StatusCode::BAD_REQUEST, OVER)),
    }
}
