//! What every page is sent with, and how many are made at once.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::PageError;
use crate::app::App;
use crate::error::Error;
use crate::http::caller::is_secure;

/// Nothing but our own stylesheet, script and images; no frames; forms go nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";

/// Sent with everything. `same-origin` and not `no-referrer`: that would make browsers send `Origin: null` with forms.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds the headers. What says nothing of caches must not be kept by any.
pub(super) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses requests beyond what can be worked on.
pub(super) async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let Ok(_slot) = app.page_admission.try_acquire() else {
        return PageError::Failed(Error::Unavailable("too many requests at once")).into_response();
    };
    next.run(request).await
}

/// Makes cookies secure for browsers that came by TLS through a trusted proxy. With a public `https` URL they are anyway.
pub(super) async fn secure_cookies(State(app): State<App>, request: Request, next: Next) -> Response {
    let secure = is_secure(&app, request.headers());
    let mut response = next.run(request).await;
    if secure && !app.pages.is_secure() {
        let cookies = response.headers_mut().iter_mut().filter(|(name, _)| *name == header::SET_COOKIE);
        for (_, cookie) in cookies {
            if let Ok(secured) = HeaderValue::from_bytes(&[cookie.as_bytes(), b"; Secure"].concat()) {
                *cookie = secured;
            }
        }
    }
    response
}
