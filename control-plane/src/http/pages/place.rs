//! A user's place in the workspace of the path. A workspace that they are no member of does not exist for them.

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;

use super::error::PageError;
use super::form::{Fields, Posted};
use super::session::SignedIn;
use super::view::{Chrome, Section};
use crate::app::App;
use crate::error::Error;
use crate::keys::Key;
use crate::users::{Membership, Role};

/// Who looks at which workspace.
pub(super) struct Place {
    pub signed_in: SignedIn,
    pub membership: Membership,
    /// `{id}` of the path.
    id: Option<String>,
}

/// The same with a form that a page of this session has sent.
pub(super) struct PostedIn {
    pub place: Place,
    pub fields: Fields,
}

impl Place {
    /// Whether the role is at least this one.
    pub fn may(&self, role: Role) -> bool {
        self.membership.role >= role
    }

    /// Refuses when the role is less than this one.
    pub fn need(&self, role: Role) -> Result<(), PageError> {
        if self.may(role) { Ok(()) } else { Err(PageError::Forbidden) }
    }

    /// The key of the path, if it is one of this workspace.
    pub async fn key(&self, app: &App) -> Result<Key, PageError> {
        let none = || PageError::Failed(Error::NotFound("API key"));
        let key = app.keys.find(self.id.as_deref().ok_or_else(none)?).await?;
        if key.workspace_seq == self.membership.workspace_seq { Ok(key) } else { Err(none()) }
    }

    /// The frame of a page.
    pub fn chrome(&self, title: &str, section: Section) -> Chrome {
        Chrome::new(title, section, &self.signed_in, Some(&self.membership))
    }

    async fn of(signed_in: SignedIn, parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let params = RawPathParams::from_request_parts(parts, app).await;
        let params = params.map_err(|_| PageError::Failed(Error::NoRoute))?;
        let param = |name| params.iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_owned());
        let membership = param("workspace").and_then(|slug| signed_in.user.membership(&slug).cloned());
        let membership = membership.ok_or(PageError::Failed(Error::NotFound("workspace")))?;
        Ok(Self { signed_in, membership, id: param("id") })
    }
}

impl FromRequestParts<App> for Place {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let signed_in = SignedIn::from_request_parts(parts, app).await?;
        Self::of(signed_in, parts, app).await
    }
}

impl FromRequest<App> for PostedIn {
    type Rejection = PageError;

    async fn from_request(request: Request, app: &App) -> Result<Self, PageError> {
        let (parts, body) = request.into_parts();
        let mut head = parts.clone();
        let Posted { signed_in, fields } =
            Posted::from_request(Request::from_parts(parts, body), app).await?;
        let place = Place::of(signed_in, &mut head, app).await?;
        Ok(Self { place, fields })
    }
}
