//! The form for the code of a second factor: of the second step of signing in.

use askama::Template;
use axum::response::Response;

use super::view::{Assets, html};
use crate::http::app::App;
use crate::service::users::HalfWay;

#[derive(Template)]
#[template(path = "sign_in_code.html")]
struct CodePage<'a> {
    assets: Assets,
    half: String,
    next: &'a str,
    problem: &'a str,
}

/// The form, for somebody who has shown the password.
pub(super) fn ask(app: &App, half: &HalfWay, next: &str) -> Response {
    page(half.seal(&app.signer), next, "")
}

/// The form, with why the code before it was not taken.
pub(super) fn page(half: String, next: &str, problem: &str) -> Response {
    html(&CodePage { assets: Assets::new(), half, next, problem })
}
