//! Forms: their fields, and the proof that they come from a page of the session.

use std::collections::HashMap;
use std::time::Duration;

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use tokio::time;

use super::error::PageError;
use super::session::SignedIn;
use crate::app::App;
use crate::error::Error;

/// The fields of a form. What is not there reads as empty.
#[derive(Default)]
pub(super) struct Fields(HashMap<String, String>);

/// A form that a page of this session has sent.
pub(super) struct Posted {
    pub signed_in: SignedIn,
    pub fields: Fields,
}

/// How long a browser may take to send its form.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

impl Fields {
    /// A field, without the white space around it.
    pub fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// A field as it is.
    pub fn raw(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl FromRequest<App> for Fields {
    type Rejection = PageError;

    async fn from_request(request: Request, app: &App) -> Result<Self, PageError> {
        let form = Form::<Vec<(String, String)>>::from_request(request, app);
        let late = |_| Error::BadRequest("the form did not arrive in time".to_owned());
        let form = time::timeout(BODY_TIMEOUT, form).await.map_err(late)?;
        let Form(fields) = form.map_err(|_| Error::BadRequest("the form could not be read".to_owned()))?;
        Ok(Self(fields.into_iter().collect()))
    }
}

impl FromRequest<App> for Posted {
    type Rejection = PageError;

    async fn from_request(request: Request, app: &App) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let signed_in = SignedIn::from_request_parts(&mut parts, app).await?;
        let fields = Fields::from_request(Request::from_parts(parts, body), app).await?;
        if signed_in.accepts(fields.raw("csrf")) {
            Ok(Self { signed_in, fields })
        } else {
            Err(PageError::Forgery)
        }
    }
}
