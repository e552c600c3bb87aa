//! What a page says when it cannot be shown. What went wrong inside is logged once and never shown.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::too_many::TooMany;
use super::view::{Assets, html};
use super::way_back::WayBack;
use crate::domain::error::Error;
use crate::http::error::Failure;

/// Why a page is not shown.
#[derive(Debug)]
pub(super) enum PageError {
    /// Nobody is signed in; where to go afterwards.
    SignInFirst(WayBack),
    /// The user's role does not allow it.
    Forbidden,
    /// The link of an invitation that is not good, for whatever reason: which one is told to nobody.
    NoInvitation,
    /// Another site's page sent the request.
    Forgery,
    /// The form does not come from a page of this session; where it can be opened again.
    Stale(WayBack),
    /// The user changes things too fast.
    TooMany(TooMany),
    /// Anything else.
    Failed(Failure),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    assets: Assets,
    status: u16,
    title: &'a str,
    text: &'a str,
    /// Where the way on leads, and what it says.
    link: (&'a str, &'a str),
}

impl PageError {
    fn explain(&self) -> (StatusCode, &str, &str) {
        match self {
            Self::SignInFirst(_) => (StatusCode::UNAUTHORIZED, "Sign in first", ""),
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "Too many changes at once", ""),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "Your role does not allow this",
                "Ask an owner of the workspace, or whoever runs Flamegate, for another role.",
            ),
            Self::NoInvitation => (
                StatusCode::NOT_FOUND,
                "This invitation does not work",
                "It was used, withdrawn or has ended, or a part of its link is missing. Ask whoever sent it for a new one.",
            ),
            Self::Forgery => (
                StatusCode::FORBIDDEN,
                "This request was not accepted",
                "It did not come from a page of your current session. Nothing was changed. Open the page again and repeat \
                 what you wanted to do.",
            ),
            Self::Stale(_) => (
                StatusCode::FORBIDDEN,
                "This form is out of date",
                "It does not come from a page of your current session: you have signed in again since you opened it, or your \
                 browser kept an old page. Nothing was changed.",
            ),
            Self::Failed(failure) => Self::explain_failure(failure),
        }
    }

    fn explain_failure(failure: &Failure) -> (StatusCode, &str, &str) {
        let status = failure.status();
        match failure {
            Failure::NoRoute | Failure::Failed(Error::NotFound(_)) => (
                status,
                "Page not found",
                "The page does not exist, or it belongs to a workspace that you are not a member of.",
            ),
            Failure::Failed(Error::Conflict { message, .. }) => {
                (status, "That is not possible any more", message)
            }
            Failure::Failed(Error::Internal(_)) => (
                status,
                "Something went wrong",
                "Something went wrong on our side. There is nothing for you to do: try again in a moment.",
            ),
            Failure::Failed(Error::Unavailable(_)) => {
                (status, "Not available right now", "Try again in a moment.")
            }
            _ => (status, "This request could not be understood", "Go back and try again."),
        }
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Failure> for PageError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        if let Self::SignInFirst(back) = &self {
            return Redirect::to(&back.by_sign_in()).into_response();
        }
        if let Self::TooMany(too_many) = self {
            return too_many.into_response();
        }
        if let Self::Failed(Failure::Failed(Error::Internal(cause))) = &self {
            tracing::error!(error = %cause, "a page failed");
        }
        let (status, title, text) = self.explain();
        let link = match &self {
            Self::Stale(back) if back.keeps() => (back.place(), "Open it again, as you had filled it in"),
            Self::Stale(back) => (back.place(), "Open it again"),
            Self::NoInvitation => ("/sign-in", "Sign in"),
            _ => ("/", "Back to Overview"),
        };
        let page = ErrorPage { assets: Assets::new(), status: status.as_u16(), title, text, link };
        let mut response = (status, html(&page)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
