//! Who sends a request: the client's address, whether it came by TLS, the actor for the audit log, and what is there for them.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};

use super::app::App;
use super::paging::{cursor, no_cursor};
use crate::domain::access::{Place, Scope};
use crate::domain::audit::{Actor, Via};
use crate::domain::error::Error;
use crate::domain::gateways::Receipt;
use crate::domain::keys::{IdempotencyKey, Key};
use crate::domain::operators::OperatorToken;
use crate::domain::workspaces::Workspace;
use crate::service::masked::Masked;
use crate::store::Purpose;

/// The other end of the connection; the server notes it on every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The client's address: the connection's, or what a trusted proxy says.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub Option<IpAddr>);

/// The token of an operator that a request came with.
#[derive(Clone, Debug)]
pub enum Bearer {
    /// One of the environment.
    Environment,
    /// One with a name.
    Named(Arc<OperatorToken>),
}

/// Who acts through `/v1`, where only operators may.
pub struct By(pub Actor);

/// Who acts through `/v1`, and for what: one workspace only, it may be.
pub struct Caller {
    /// Who.
    pub by: Actor,
    /// The services as they are for this caller: tenants read by the readers of the pages, and so make no operator wait.
    pub app: App,
    /// For what.
    scope: Scope,
}

impl FromRequestParts<App> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self(address_of(app, &parts.headers, &parts.extensions)))
    }
}

/// The same of a request that is whole.
pub fn address(app: &App, request: &Request) -> Option<IpAddr> {
    address_of(app, request.headers(), request.extensions())
}

fn address_of(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get::<Peer>().map(|peer| peer.0.to_canonical());
    // Not `Forwarded` (RFC 7239): a proxy that sets one of the two passes the other on as the client wrote it.
    let told = last(headers, "x-forwarded-for").filter(|_| app.pages.trust_proxy);
    told.and_then(entry).or(peer)
}

impl FromRequestParts<App> for By {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        Ok(Self(Caller::from_request_parts(parts, app).await?.by))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let Ok(Address(address)) = Address::from_request_parts(parts, app).await;
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let is_cli = agent.is_some_and(|agent| agent.starts_with(CLI_AGENT));
        let via = if is_cli { Via::Cli } else { Via::Api };
        // Noted by who checked the token.
        let bearer = parts.extensions.get::<Bearer>().ok_or(Error::Unauthorized)?;
        let by = match bearer {
            Bearer::Environment => Actor::admin_token(via, address),
            Bearer::Named(token) => token.as_actor(via, address),
        };
        let scope = bearer.scope().clone();
        Ok(Self { by, app: if scope.place().is_some() { app.for_pages() } else { app.clone() }, scope })
    }
}

impl Bearer {
    /// What it opens.
    pub fn scope(&self) -> &Scope {
        match self {
            Self::Environment => &Scope::Everything,
            Self::Named(token) => &token.scope,
        }
    }
}

impl Caller {
    /// The row of the workspace that a query names by id or slug: the caller's own when it names none, and no other one is there for
    /// whoever is for one. `None` is all of them.
    pub async fn workspace_row(&self, id_or_slug: Option<&str>) -> Result<Option<i64>, Error> {
        match (self.scope.place(), id_or_slug) {
            (None, None) => Ok(None),
            (Some(place), None) => Ok(Some(place.workspace_seq)),
            (_, Some(named)) => Ok(Some(self.workspace(named).await?.seq)),
        }
    }

    /// A workspace, when it is there for the caller.
    pub async fn workspace(&self, id_or_slug: &str) -> Result<Workspace, Error> {
        let is_theirs = self.scope.place().is_none_or(|place| place.is_named(id_or_slug));
        if is_theirs { self.app.workspaces.find(id_or_slug).await } else { Err(Error::NotFound("workspace")) }
    }

    /// The only workspace that is there for the caller, if it is one.
    pub async fn only_workspace(&self) -> Result<Option<Workspace>, Error> {
        match self.scope.place() {
            None => Ok(None),
            Some(place) => self.app.workspaces.find(&place.workspace).await.map(Some),
        }
    }

    /// A key, when it is there for the caller. A key stays in its workspace, so what holds now holds when it is changed.
    pub async fn key(&self, id: &str) -> Result<Key, Error> {
        let key = self.app.keys.find(id).await?;
        let is_theirs = self.scope.place().is_none_or(|place| place.workspace_seq == key.workspace_seq);
        if is_theirs { Ok(key) } else { Err(Error::NotFound("API key")) }
    }

    /// What may look at every row of a workspace. Of one tenant's such lists one is made at a time, by readers that only lists have.
    pub async fn list<T, F>(&self, make: impl FnOnce(App) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        match self.scope.place() {
            None => make(self.app.clone()).await,
            Some(place) => {
                self.app.turns.run(&place.workspace, make(self.app.reading_for(Purpose::Lists))).await
            }
        }
    }

    /// Counts a change that was not counted when the request came.
    pub fn count_change(&self) -> Result<(), Error> {
        let place = self.scope.place();
        place.map_or(Ok(()), |place| self.app.people.admit(-place.workspace_seq, self.app.clock.instant()))
    }

    /// Refuses a workspace in a body that is not there for the caller, as one that is not there at all.
    pub fn check_workspace(&self, path: &str, id_or_slug: Option<&str>) -> Result<(), Error> {
        let is_theirs = |place: &Place| id_or_slug.is_none_or(|named| place.is_named(named));
        if self.scope.place().is_none_or(is_theirs) {
            Ok(())
        } else {
            Err(Error::invalid(path, "no such workspace"))
        }
    }

    /// Refuses a plan that a tenant gives to a key: plans are the operators' to give.
    pub fn check_plan(&self, is_given: bool) -> Result<(), Error> {
        if is_given && self.is_tenant() {
            return Err(Error::invalid("plan", "plans are given by operators"));
        }
        Ok(())
    }

    /// An `Idempotency-Key` as the caller's own: another workspace's is another one.
    pub fn once(&self, key: Option<IdempotencyKey>) -> Option<IdempotencyKey> {
        match self.scope.place() {
            None => key,
            Some(place) => key.map(|key| key.of(&place.workspace)),
        }
    }

    /// A key as the caller may see it: gateways and revisions tell of everybody's doings.
    pub fn shown(&self, mut key: Key) -> Key {
        if self.is_tenant() {
            (key.revision, key.uses.last_used_by, key.uses.last_refused_by) = (None, None, None);
        }
        key
    }

    /// A receipt as the caller may see it: the same numbers, and no names.
    pub fn shown_receipt(&self, receipt: Receipt) -> Receipt {
        if self.is_tenant() { receipt.without_names() } else { receipt }
    }

    /// A row's number as the caller may see it: those of a table count everybody's doings.
    pub fn number(&self, table: &'static str, row: i64) -> i64 {
        self.masked(table).map_or(row, |masked| masked.number(row))
    }

    /// The row of a cursor that this caller was given.
    pub fn cursor(&self, table: &'static str, text: Option<&str>) -> Result<Option<i64>, Error> {
        let row = |number| match self.masked(table) {
            None => Ok(number),
            Some(masked) => masked.row(number).ok_or_else(no_cursor),
        };
        cursor(text)?.map(row).transpose()
    }

    fn masked(&self, table: &'static str) -> Option<Masked<'_>> {
        let place = self.scope.place()?;
        Some(Masked { signer: &self.app.signer, table, workspace_seq: place.workspace_seq })
    }

    /// Whether the caller is for one workspace only.
    pub const fn is_tenant(&self) -> bool {
        self.scope.place().is_some()
    }
}

/// How the command line's `user-agent` begins.
pub const CLI_AGENT: &str = "flamegate-control/";

/// True when the browser sent the request by TLS.
pub fn is_secure(app: &App, headers: &HeaderMap) -> bool {
    let told = last(headers, "x-forwarded-proto").filter(|_| app.pages.trust_proxy);
    app.pages.is_secure() || told.is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

/// An address as proxies write it: with a port or without, IPv6 in brackets or not, in quotes or not. IPv4 within IPv6 is IPv4, so
/// that one client has one address.
fn entry(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let address = text.parse().ok().or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

/// The last entry of a list: the one that the nearest proxy has added, and no client can choose.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}
