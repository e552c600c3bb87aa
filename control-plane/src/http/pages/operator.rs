//! People who are operators: who looks at a page of the installation, and who has sent a form of one.

use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Request};
use axum::http::request::Parts;

use super::error::PageError;
use super::fields::Fields;
use super::form::Posted;
use super::session::SignedIn;
use super::too_many::TooMany;
use crate::domain::error::Error;
use crate::http::app::App;

/// A person who is an operator.
pub(super) struct Operator(pub SignedIn);

/// The same with a form that a page of this session has sent. For what takes rights away, which is bounded by what there is.
pub(super) struct UncountedByOperator(pub Posted);

/// The same, counted as a change, which may be one too many.
pub(super) struct PostedByOperator {
    pub signed_in: SignedIn,
    pub fields: Fields,
}

fn admitted(signed_in: &SignedIn) -> Result<(), PageError> {
    if signed_in.user.is_operator { Ok(()) } else { Err(PageError::Forbidden) }
}

impl FromRequestParts<App> for Operator {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let signed_in = SignedIn::from_request_parts(parts, app).await?;
        admitted(&signed_in)?;
        Ok(Self(signed_in))
    }
}

impl FromRequest<App> for UncountedByOperator {
    type Rejection = PageError;

    async fn from_request(request: Request, app: &App) -> Result<Self, PageError> {
        let posted = Posted::from_request(request, app).await?;
        admitted(&posted.signed_in)?;
        Ok(Self(posted))
    }
}

impl FromRequest<App> for PostedByOperator {
    type Rejection = PageError;

    async fn from_request(request: Request, app: &App) -> Result<Self, PageError> {
        let uri = request.extensions().get::<OriginalUri>().map_or(request.uri(), |uri| &uri.0);
        let action = uri.path().to_owned();
        let UncountedByOperator(Posted { signed_in, fields }) =
            UncountedByOperator::from_request(request, app).await?;
        match app.people.admit(signed_in.user.seq, app.clock.instant()) {
            Ok(()) => Ok(Self { signed_in, fields }),
            Err(Error::RateLimited { retry_after_seconds }) => {
                Err(PageError::TooMany(TooMany::new(retry_after_seconds, action, fields)))
            }
            Err(error) => Err(error.into()),
        }
    }
}
