//! Who is signed in. The session library makes, rotates and expires the cookie; here is what a session holds and when it
//! is over: after a time without requests (the library), after its longest time, and when the user's stamp has changed.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq as _;
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, Session, SessionManagerLayer};

use super::chrome::Person;
use super::cookies;
use super::error::PageError;
use super::frame;
use super::headers::PageSlot;
use super::session_store::{Sessions, hash};
use super::way_back::WayBack;
use crate::domain::audit::Actor;
use crate::domain::error::Error;
use crate::domain::random;
use crate::domain::sessions::{self, WHO, Who, public_id};
use crate::domain::users::User;
use crate::http::admission::connections::{Owner, Seat};
use crate::http::app::App;
use crate::http::caller::Address;

/// A signed-in user and their session.
pub(super) struct SignedIn {
    /// The user.
    pub user: User,
    /// The token that every form of this session carries.
    pub csrf: String,
    /// The session, to end it.
    pub session: Session,
    /// The client's address.
    pub address: Address,
    /// The request's place.
    pub slot: Option<PageSlot>,
}

/// A session in use is written this often and not with every request, in seconds.
const REFRESH: i64 = 60;

/// The session library, set up.
pub(super) fn layer(app: &App) -> SessionManagerLayer<Sessions> {
    let idle = time::Duration::try_from(app.pages.session_idle).unwrap_or(time::Duration::HOUR);
    let sessions = Sessions { store: app.store.clone(), clock: app.clock.clone() };
    SessionManagerLayer::new(sessions)
        .with_name(cookies::name(app, "session"))
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(app.pages.is_secure())
        .with_expiry(Expiry::OnInactivity(idle))
}

/// Where a session is used, as its user sees it in the list of theirs.
pub(super) struct From {
    address: Option<IpAddr>,
    agent: Option<String>,
}

impl From {
    /// Of a request that came from this address.
    pub fn of(address: Option<IpAddr>, headers: &HeaderMap) -> Self {
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Self { address, agent: sessions::agent(agent) }
    }
}

/// Begins a session under a new id, whatever id the browser came with.
pub(super) async fn begin(app: &App, session: &Session, user: &User, from: From) -> Result<(), Error> {
    let now = app.clock.now().as_second();
    let csrf = random::base62(32)?.to_string();
    let (user, stamp) = (user.id.clone(), user.stamp.clone());
    let who = Who { user, stamp, csrf, began: now, seen: now, address: from.address, agent: from.agent };
    session.cycle_id().await.map_err(Error::internal)?;
    session.insert(WHO, who).await.map_err(Error::internal)
}

/// The session's user, if there is one; with where it is used, that is noted.
pub(super) async fn current(
    app: &App,
    session: &Session,
    from: Option<From>,
) -> Result<Option<(User, String)>, Error> {
    let Some(mut who) = session.get::<Who>(WHO).await.map_err(Error::internal)? else { return Ok(None) };
    let now = app.clock.now().as_second();
    let longest = i64::try_from(app.pages.session_max.as_secs()).unwrap_or(i64::MAX);
    let user =
        if now - who.began < longest { app.users.of_session(&who.user, &who.stamp).await? } else { None };
    let Some(user) = user else {
        session.flush().await.map_err(Error::internal)?;
        return Ok(None);
    };
    let csrf = who.csrf.clone();
    if now - who.seen >= REFRESH {
        who.seen = now;
        if let Some(From { address, agent }) = from {
            (who.address, who.agent) = (address, agent);
        }
        session.insert(WHO, who).await.map_err(Error::internal)?;
    }
    Ok(Some((user, csrf)))
}

impl SignedIn {
    /// The user as the one who does something.
    pub fn actor(&self) -> Actor {
        self.user.as_actor(self.address.0)
    }

    /// The session's public name, by which the user ends one of theirs.
    pub fn session_id(&self) -> Option<String> {
        self.session.id().map(|id| public_id(&hash(&id)))
    }

    /// Whether a form carries the session's token.
    pub fn accepts(&self, token: &str) -> bool {
        self.csrf.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

impl Person for SignedIn {
    fn user(&self) -> &User {
        &self.user
    }

    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        let session =
            Session::from_request_parts(parts, app).await.map_err(|(_, text)| Error::internal(text))?;
        let ended = session.id().is_some();
        let Ok(address) = Address::from_request_parts(parts, app).await;
        let from = From::of(address.0, &parts.headers);
        let (current, seat) = (current(app, &session, Some(from)).await?, parts.extensions.get::<Seat>());
        match current {
            Some((user, csrf)) => {
                if let Some(seat) = seat {
                    seat.vouch(Owner::Person(user.seq));
                }
                let slot = parts.extensions.get().cloned();
                let signed_in = Self { user, csrf, session, address, slot };
                frame::found(&signed_in, None);
                Ok(signed_in)
            }
            None => {
                if let Some(seat) = seat {
                    seat.disown();
                }
                Err(PageError::SignInFirst(WayBack::to(parts, ended)))
            }
        }
    }
}
