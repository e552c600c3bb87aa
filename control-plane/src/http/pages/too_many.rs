//! What a person sees who changes things too fast: how long to wait, and their form once more, as they filled it in.

use std::fmt;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::chrome::Chrome;
use super::fields::Fields;
use super::frame;
use super::view::{Assets, html};

/// A form that came too soon.
pub(super) struct TooMany {
    /// When it may come again.
    wait_seconds: u64,
    /// Where it goes.
    action: String,
    /// What was typed. No form that counts has a password in it, and keys are taken out.
    fields: Fields,
}

#[derive(Template)]
#[template(path = "too_many.html")]
struct TooManyPage<'a> {
    assets: Assets,
    again: Again<'a>,
}

/// The same in the person's frame.
#[derive(Template)]
#[template(path = "too_many_in_frame.html")]
struct TooManyInFrame<'a> {
    chrome: Chrome,
    again: Again<'a>,
}

/// The form once more.
struct Again<'a> {
    wait_seconds: u64,
    action: &'a str,
    fields: Vec<(&'a str, &'a str)>,
}

impl fmt::Debug for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TooMany").field("wait_seconds", &self.wait_seconds).finish_non_exhaustive()
    }
}

impl TooMany {
    /// Keeps what the form of this request had, without what may be a key.
    pub fn new(wait_seconds: u64, action: String, fields: Fields) -> Self {
        Self { wait_seconds, action, fields: fields.without_keys() }
    }

    /// The page, with the form in it.
    pub fn into_response(self) -> Response {
        let Self { wait_seconds, action, fields } = self;
        let again = Again { wait_seconds, action: &action, fields: fields.pairs() };
        let page = match frame::take("Too many changes") {
            Some(chrome) => html(&TooManyInFrame { chrome, again }),
            None => html(&TooManyPage { assets: Assets::new(), again }),
        };
        let mut response = (StatusCode::TOO_MANY_REQUESTS, page).into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_seconds));
        response
    }
}
