//! A user's place in the workspace of the path. A workspace that they are no member of does not exist for them.

use axum::extract::{FromRequest, FromRequestParts, OriginalUri, RawPathParams, Request};
use axum::http::request::Parts;

use super::chrome::{Chrome, Section};
use super::error::{API_KEY, PageError};
use super::fields::Fields;
use super::form::Posted;
use super::frame;
use super::session::SignedIn;
use super::too_many::TooMany;
use crate::contract::Scope;
use crate::domain::error::Error;
use crate::domain::keys::Key;
use crate::domain::plans::Plan;
use crate::domain::users::{Membership, Role};
use crate::http::app::App;
use crate::http::error::Failure;

/// Who looks at which workspace.
pub(super) struct Place {
    pub signed_in: SignedIn,
    pub membership: Membership,
    /// `{id}` of the path.
    id: Option<String>,
}

/// The same with a form that a page of this session has sent. It counts as a change, so it may be one too many.
pub(super) struct PostedIn {
    pub place: Place,
    pub fields: Fields,
}

/// The same, not counted yet. For what must be possible while somebody else uses up the person's changes with a stolen
/// session: revoking a key that works, which is bounded by the keys that there are.
pub(super) struct Uncounted {
    posted: PostedIn,
    /// Where the form goes.
    action: String,
}

impl Place {
    /// Whether the role is at least this one.
    pub fn may(&self, role: Role) -> bool {
        self.membership.role >= role
    }

    /// Whether the user sees all gateways and what they enforce: not one tenant's business.
    pub const fn is_operator(&self) -> bool {
        self.signed_in.user.is_operator
    }

    /// The plans that the person may give: operators all of a scope, everybody else none. Whoever is limited does not choose by what.
    pub async fn plans_to_choose(&self, app: &App, scope: Scope) -> Result<Vec<Plan>, Error> {
        if self.is_operator() { app.plans.of_scope(scope).await } else { Ok(Vec::new()) }
    }

    /// The plan that an operator has chosen in a form.
    pub fn chosen_plan(&self, fields: &Fields) -> Option<String> {
        Some(fields.text("plan").to_owned()).filter(|name| self.is_operator() && !name.is_empty())
    }

    /// Refuses when the role is less than this one.
    pub fn need(&self, role: Role) -> Result<(), PageError> {
        if self.may(role) { Ok(()) } else { Err(PageError::Forbidden) }
    }

    /// `{id}` of the path.
    pub fn id(&self) -> Result<&str, PageError> {
        self.id.as_deref().ok_or(PageError::Failed(Failure::NoRoute))
    }

    /// The key of the path, if it is one of this workspace.
    pub async fn key(&self, app: &App) -> Result<Key, PageError> {
        let none = || PageError::from(Error::NotFound(API_KEY));
        let key = app.keys.find(self.id.as_deref().ok_or_else(none)?).await?;
        if key.workspace_seq == self.membership.workspace_seq { Ok(key) } else { Err(none()) }
    }

    /// The same for who may change it.
    pub async fn key_to_change(&self, app: &App) -> Result<Key, PageError> {
        self.need(Role::Member)?;
        self.key(app).await
    }

    /// The frame of a page.
    pub fn chrome(&self, title: &str, section: Section) -> Chrome {
        Chrome::new(title, section, &self.signed_in, Some(&self.membership))
    }

    async fn of(signed_in: SignedIn, parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let params = RawPathParams::from_request_parts(parts, app).await;
        let params = params.map_err(|_| PageError::Failed(Failure::NoRoute))?;
        let param = |name| params.iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_owned());
        let membership = param("workspace").and_then(|slug| signed_in.user.membership(&slug).cloned());
        let membership = membership.ok_or(PageError::from(Error::NotFound("workspace")))?;
        frame::found(&signed_in, Some(&membership));
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

impl FromRequest<App> for Uncounted {
    type Rejection = PageError;

    async fn from_request(request: Request, app: &App) -> Result<Self, PageError> {
        let (parts, body) = request.into_parts();
        let mut head = parts.clone();
        let Posted { signed_in, fields } =
            Posted::from_request(Request::from_parts(parts, body), app).await?;
        let place = Place::of(signed_in, &mut head, app).await?;
        // A nested route sees a shortened path; the original one is kept beside it.
        let action =
            head.extensions.get::<OriginalUri>().map(|uri| &uri.0).unwrap_or(&head.uri).path().to_owned();
        Ok(Self { posted: PostedIn { place, fields }, action })
    }
}

impl FromRequest<App> for PostedIn {
    type Rejection = PageError;

    async fn from_request(request: Request, app: &App) -> Result<Self, PageError> {
        Uncounted::from_request(request, app).await?.count(app)
    }
}

impl Uncounted {
    /// Who looks at which workspace.
    pub const fn place(&self) -> &Place {
        &self.posted.place
    }

    /// What it says.
    pub const fn fields(&self) -> &Fields {
        &self.posted.fields
    }

    /// Counts it as a change, which may be one too many.
    pub fn count(self, app: &App) -> Result<PostedIn, PageError> {
        let Self { posted, action } = self;
        match app.people.admit(posted.place.signed_in.user.seq, app.clock.instant()) {
            Ok(()) => Ok(posted),
            Err(Error::RateLimited { retry_after_seconds }) => {
                Err(PageError::TooMany(TooMany::new(retry_after_seconds, action, posted.fields)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes it as it is.
    pub fn uncounted(self) -> PostedIn {
        self.posted
    }
}
