//! The cookie of a browser on which somebody has signed in before. It says so under the control plane's signature, opens nothing, and has
//! attempts to sign in from there counted by themselves.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponseParts, ResponseParts};

use super::cookies;
use crate::domain::error::Error;
use crate::domain::users::User;
use crate::domain::users::device::{self, Device};
use crate::http::app::App;

/// Who has signed in on the browser that sends a request.
#[derive(Clone)]
pub(super) struct Devices(pub Vec<Device>);

/// The cookie for an answer. It is set behind the session's.
#[derive(Clone)]
pub(super) struct DeviceCookie(pub HeaderValue);

const PURPOSE: &str = "device";
/// A year: whoever signs in less often is a stranger.
const MAX_AGE_SECONDS: u32 = 365 * 24 * 3600;

impl Devices {
    /// Those of a request, when our signature is on them.
    pub fn of(app: &App, headers: &HeaderMap) -> Self {
        let signed = cookies::value(&cookies::name(app, "device"), headers);
        let text = signed.and_then(|value| app.signer.verify(PURPOSE, value));
        Self(text.map(device::read).unwrap_or_default())
    }

    /// The cookie of the browser once this user has signed in on it.
    pub fn remember(&self, app: &App, user: &User) -> Result<DeviceCookie, Error> {
        let value = app.signer.sign(PURPOSE, &device::write(user, &self.0)?);
        let secure = if app.pages.is_secure() { "; Secure" } else { "" };
        let name = cookies::name(app, "device");
        let text =
            format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={MAX_AGE_SECONDS}{secure}");
        HeaderValue::from_str(&text).map(DeviceCookie).map_err(Error::internal)
    }
}

impl FromRequestParts<App> for Devices {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self::of(app, &parts.headers)))
    }
}

impl IntoResponseParts for DeviceCookie {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        response.extensions_mut().insert(self);
        Ok(response)
    }
}
