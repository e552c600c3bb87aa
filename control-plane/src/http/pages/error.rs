//! What a page says when it cannot be shown. What went wrong inside is logged once and never shown.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::chrome::Chrome;
use super::frame;
use super::too_many::TooMany;
use super::view::{Assets, html};
use super::way_back::WayBack;
use crate::domain::error::Error;
use crate::http::error::Failure;

/// What is not found when there is no such key, or none of this workspace: which of the two is told to nobody.
pub(super) const API_KEY: &str = "API key";

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

/// For whoever is not signed in, or where nobody has asked who is.
#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    assets: Assets,
    words: Words<'a>,
}

/// In the frame of whoever is signed in.
#[derive(Template)]
#[template(path = "error_in_frame.html")]
struct ErrorInFrame<'a> {
    chrome: Chrome,
    words: Words<'a>,
}

/// What the page says.
struct Words<'a> {
    status: u16,
    title: &'a str,
    text: &'a str,
    /// Where the way on leads, and what it says.
    link: (String, &'static str),
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

    /// Where to go from here, and what the link says.
    fn way_on(&self, frame: Option<&Chrome>) -> (String, &'static str) {
        let here = frame.map(Chrome::slug).filter(|slug| !slug.is_empty());
        match (self, here) {
            (Self::Stale(back), _) if back.keeps() => {
                (back.place().to_owned(), "Open it again, as you had filled it in")
            }
            (Self::Stale(back), _) => (back.place().to_owned(), "Open it again"),
            (Self::NoInvitation, None) => ("/sign-in".to_owned(), "Sign in"),
            (Self::Failed(Failure::Failed(Error::NotFound(API_KEY))), Some(slug)) => {
                (format!("/w/{slug}/settings/api-keys"), "Look in the list")
            }
            (_, Some(slug)) => (format!("/w/{slug}"), "Back to Overview"),
            (_, None) => ("/".to_owned(), "Back to Overview"),
        }
    }

    fn explain_failure(failure: &Failure) -> (StatusCode, &str, &str) {
        let status = failure.status();
        match failure {
            Failure::Failed(Error::NotFound(API_KEY)) => (
                status,
                "No such key here",
                "This workspace has no key with that id. The list finds keys by name and by id, those that have ended, too.",
            ),
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
        let frame = frame::take(title);
        let link = self.way_on(frame.as_ref());
        let words = Words { status: status.as_u16(), title, text, link };
        let page = match frame {
            Some(chrome) => html(&ErrorInFrame { chrome, words }),
            None => html(&ErrorPage { assets: Assets::new(), words }),
        };
        let mut response = (status, page).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
