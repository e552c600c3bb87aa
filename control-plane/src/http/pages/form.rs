//! Forms: how they come, and the proof that they come from a page of the session.

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts as _, Request};

use super::error::PageError;
use super::fields::Fields;
use super::session::SignedIn;
use super::way_back::WayBack;
use crate::http::app::App;
use crate::http::error::Failure;

/// A form that a page of this session has sent.
pub(super) struct Posted {
    pub signed_in: SignedIn,
    pub fields: Fields,
}

impl FromRequest<App> for Fields {
    type Rejection = PageError;

    async fn from_request(request: Request, app: &App) -> Result<Self, PageError> {
        let form = Form::<Vec<(String, String)>>::from_request(request, app).await;
        let Form(fields) = form.map_err(|_| Failure::BadRequest("the form could not be read".to_owned()))?;
        Ok(Self::of(fields))
    }
}

impl FromRequest<App> for Posted {
    type Rejection = PageError;

    async fn from_request(request: Request, app: &App) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let signed_in = SignedIn::from_request_parts(&mut parts, app).await;
        let back = WayBack::to(&parts, true);
        let fields = Fields::from_request(Request::from_parts(parts, body), app).await;
        match signed_in {
            Ok(signed_in) => {
                let fields = fields?;
                if signed_in.accepts(fields.raw("csrf")) {
                    return Ok(Self { signed_in, fields });
                }
                // Of an earlier session, it may be: somebody has signed in again in another tab.
                Err(PageError::Stale(back.with(&fields)))
            }
            Err(PageError::SignInFirst(_)) => {
                Err(PageError::SignInFirst(back.with(&fields.unwrap_or_default())))
            }
            Err(error) => Err(error),
        }
    }
}
