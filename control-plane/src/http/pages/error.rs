//! What a page says when it cannot be shown. What went wrong inside is logged once and never shown.

use askama::Template;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::view::{Assets, html};
use crate::error::Error;

/// Why a page is not shown.
#[derive(Debug)]
pub(super) enum PageError {
    /// Nobody is signed in; where to go afterwards.
    SignInFirst(String),
    /// The user's role does not allow it.
    Forbidden,
    /// The request does not come from a page of this session.
    Forgery,
    /// Anything else.
    Failed(Error),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    assets: Assets,
    status: u16,
    title: &'a str,
    text: &'a str,
}

impl PageError {
    /// Sends to the sign-in page, and back when the page was only to be looked at.
    pub fn sign_in_first(parts: &Parts) -> Self {
        // A nested route sees a shortened path; the original one is kept beside it.
        let original = parts.extensions.get::<axum::extract::OriginalUri>().map(|uri| &uri.0);
        let uri = original.unwrap_or(&parts.uri);
        let back = (parts.method == Method::GET).then(|| uri.path().to_owned());
        Self::SignInFirst(back.unwrap_or_else(|| "/".to_owned()))
    }

    fn explain(&self) -> (StatusCode, &str, &str) {
        match self {
            Self::SignInFirst(_) => (StatusCode::UNAUTHORIZED, "Sign in first", ""),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "Your role does not allow this",
                "Ask an owner of the workspace, or whoever runs Flamegate, for another role.",
            ),
            Self::Forgery => (
                StatusCode::FORBIDDEN,
                "This request was not accepted",
                "It did not come from a page of your current session. Nothing was changed. Open the page again and repeat \
                 what you wanted to do.",
            ),
            Self::Failed(error) => Self::explain_error(error),
        }
    }

    fn explain_error(error: &Error) -> (StatusCode, &str, &str) {
        let status = error.status();
        match error {
            Error::NotFound(_) | Error::NoRoute => (
                status,
                "There is nothing here",
                "The page does not exist, or it belongs to a workspace that you are not a member of.",
            ),
            Error::Conflict { message, .. } => (status, "That is not possible any more", message),
            Error::Internal(_) => {
                (status, "Something went wrong", "It is our fault and has been noted. Try again in a moment.")
            }
            Error::Unavailable(_) => (status, "Not available right now", "Try again in a moment."),
            _ => (status, "This request could not be understood", "Go back and try again."),
        }
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        if let Self::SignInFirst(back) = &self {
            let path = match back.as_str() {
                "/" => "/sign-in".to_owned(),
                path => format!("/sign-in?next={}", escape(path)),
            };
            return Redirect::to(&path).into_response();
        }
        if let Self::Failed(Error::Internal(cause)) = &self {
            tracing::error!(error = %cause, "a page failed");
        }
        let (status, title, text) = self.explain();
        let page = ErrorPage { assets: Assets::new(), status: status.as_u16(), title, text };
        let mut response = (status, html(&page)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A path as the value of a parameter.
fn escape(path: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    path.bytes().map(|b| if safe(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
