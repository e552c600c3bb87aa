//! Addresses under which there is no page. Programs are answered as everywhere; whoever sits before a browser reads a page, or is led to the form that
//! they were at.

use axum::extract::OriginalUri;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::error::PageError;
use super::way_back::WayBack;
use crate::http::error::Failure;

/// No such path: people read a page, programs what all errors are for them.
pub(super) async fn nowhere(headers: HeaderMap, OriginalUri(uri): OriginalUri) -> Response {
    let is_program = ["/v1", "/sync"].iter().any(|place| uri.path().starts_with(place));
    if !is_program && reads_pages(&headers) {
        return PageError::Failed(Failure::NoRoute).into_response();
    }
    Failure::NoRoute.into_response()
}

/// A path that takes forms only. Whoever opens it, as by pressing Enter in the address after a mistake, is led to the form.
pub(super) async fn action(method: Method, headers: HeaderMap, OriginalUri(uri): OriginalUri) -> Response {
    match WayBack::from_action(uri.path()) {
        Some(page) if method == Method::GET && reads_pages(&headers) => Redirect::to(&page).into_response(),
        _ => Failure::MethodNotAllowed.into_response(),
    }
}

/// A browser that shows what it gets, as all say of what somebody opens.
fn reads_pages(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
    accept.windows(9).any(|part| part == b"text/html")
}
