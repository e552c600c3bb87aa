//! Who sends a request: the client's address, whether it came by TLS, and the actor for the audit log.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};

use super::app::App;
use crate::domain::audit::{Actor, Via};

/// The other end of the connection; the server notes it on every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The client's address: the connection's, or what a trusted proxy says.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub Option<IpAddr>);

/// Who acts through `/v1`.
pub struct By(pub Actor);

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
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let Address(address) = Address::from_request_parts(parts, app).await?;
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let is_cli = agent.is_some_and(|agent| agent.starts_with(CLI_AGENT));
        Ok(Self(Actor::admin_token(if is_cli { Via::Cli } else { Via::Api }, address)))
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
