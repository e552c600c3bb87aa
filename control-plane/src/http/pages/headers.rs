//! What every page is sent with, and how many are made at once.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::device::{DeviceCookie, Devices};
use super::error::PageError;
use crate::domain::addresses::network;
use crate::domain::error::Error;
use crate::http::app::App;
use crate::http::caller::{address, is_secure};
use crate::http::receive::whole;

/// Nothing but our own stylesheet, script, images and pages; no frames; forms go nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Sent with everything. `same-origin` and not `no-referrer`: that would make browsers send `Origin: null` with forms.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A browser that was here once by TLS does not come without it for a year. Only for this host: others are not ours.
const HSTS: &str = "max-age=31536000";
/// Longest form, in bytes.
const MAX_FORM: usize = 16 * 1024;

/// A request's place among those for pages. Who waits for others than the database gives it back before.
#[derive(Clone)]
pub(super) struct PageSlot(Arc<Mutex<Option<Permit>>>);

/// Of the places of everybody, or of those of people who have signed in on that browser before.
type Permit = Box<dyn Send>;

impl PageSlot {
    /// Somebody else may have it.
    pub fn give_back(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Adds the headers. What says nothing of caches must not be kept by any.
pub(super) async fn protect(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if app.pages.is_secure_for_good() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Reads the form before a place is taken for it.
pub(super) async fn receive(State(app): State<App>, request: Request, next: Next) -> Response {
    match whole(request, MAX_FORM, app.patience.body).await {
        Ok(request) => next.run(request).await,
        Err(error) => PageError::Failed(error).into_response(),
    }
}

/// Refuses requests beyond what can be worked on. Who wants to sign in waits for others who do, and is in nobody else's way. On a browser
/// on which somebody has signed in before they wait for no stranger either.
pub(super) async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Whoever makes an account by an invitation has a password hashed, as whoever signs in.
    let is_sign_in = matches!(path, "/sign-in" | "/sign-in/code")
        || (path.starts_with("/join/") && path.ends_with("/new"));
    let signs_in = request.method() == Method::POST && is_sign_in;
    let slot = if signs_in {
        let devices = Devices::of(&app, request.headers());
        let from = address(&app, &request);
        let slot = sign_in_slot(&app, from, &devices).await;
        request.extensions_mut().insert(devices);
        slot
    } else if path.starts_with("/sign-in/oidc") {
        // The provider is asked on both ways, and may be slow: nobody else waits for that, and nobody has all of these places.
        let from = address(&app, &request).map(network).unwrap_or_default();
        app.provider_slots.take(&from).map(|slot| Box::new(slot) as Permit)
    } else {
        permit(&app.page_admission)
    };
    let Some(slot) = slot else {
        return PageError::from(Error::Unavailable("too many requests at once")).into_response();
    };
    let slot = PageSlot(Arc::new(Mutex::new(Some(slot))));
    request.extensions_mut().insert(slot.clone());
    let response = next.run(request).await;
    slot.give_back();
    response
}

async fn sign_in_slot(app: &App, from: Option<IpAddr>, devices: &Devices) -> Option<Permit> {
    // By user and stamp: somebody's own devices, however many they have made, take nobody else's places, and those of before another
    // password not even theirs. The place comes first, so that not more than these are read for at once.
    if let Some(device) = devices.0.first()
        && let Some(slot) = app.known_sign_ins.take(&device.place())
        && app.users.is_known(device).await
    {
        return Some(Box::new(slot));
    }
    permit(&app.sign_in_admission).or_else(|| {
        let is_first = app.sign_in_failures.is_first(from);
        is_first.then(|| permit(&app.first_sign_in_admission)).flatten()
    })
}

fn permit(places: &Arc<Semaphore>) -> Option<Permit> {
    Some(Box::new(Arc::clone(places).try_acquire_owned().ok()?))
}

/// Makes cookies secure for browsers that came by TLS through a trusted proxy. With a public `https` URL they are anyway, but
/// for the library's way to take one back, which a browser ignores for a `__Host-` name unless it is secure, too.
pub(super) async fn secure_cookies(State(app): State<App>, request: Request, next: Next) -> Response {
    let secure = is_secure(&app, request.headers());
    let mut response = next.run(request).await;
    if let Some(DeviceCookie(cookie)) = response.extensions_mut().remove() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    if secure {
        let cookies = response.headers_mut().iter_mut().filter(|(name, _)| *name == header::SET_COOKIE);
        for (_, cookie) in cookies {
            if cookie.to_str().is_ok_and(|text| text.split("; ").any(|part| part == "Secure")) {
                continue;
            }
            if let Ok(secured) = HeaderValue::from_bytes(&[cookie.as_bytes(), b"; Secure"].concat()) {
                *cookie = secured;
            }
        }
    }
    response
}
