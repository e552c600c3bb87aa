//! What goes into the text of a configuration, checked so that it stands there for itself: nothing in it ends a quotation.

use std::fmt;
use std::str::FromStr;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// Not 0.
    pub port: u16,
}

/// A file's absolute path, or a path of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathText(pub String);

/// A path that needs no key; with all below it when it ends in a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenPath(pub String);

/// A path with all below it, without a slash at its end; empty for the whole API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamPath(String);

/// An IP address and a port: what Envoy listens on is no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListenAt(pub Endpoint);

/// Printable ASCII that means nothing in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plain(pub String);

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// Fetched, by TLS or without.
    Url { text: Plain, endpoint: Endpoint, tls: bool },
    /// In a file beside Envoy.
    File(PathText),
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = "a host and a port, such as 10.0.0.7:8081, api.internal:8081 or [::1]:8081";
        let (host, port) = text.rsplit_once(':').ok_or(form)?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let good = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
            }
        };
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(form)?;
        if good { Ok(Self { host: bare.unwrap_or(host).to_owned(), port }) } else { Err(form) }
    }
}

impl FromStr for PathText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~@:+,=".contains(&b);
        if text.starts_with('/') && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err("a path from '/' on, of letters, digits and -._~@:+,=")
    }
}

impl FromStr for OpenPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match PathText::from_str(text)?.0 {
            path if path == "/" => Err("not \"/\", which would open everything"),
            path => one_reading(path).map(Self),
        }
    }
}

/// A path of requests as the filter's bypass rules want it, and not less strict. Any other one is mostly that of no request, for the
/// gateway resolves it first.
fn one_reading(path: String) -> Result<String, &'static str> {
    let inside = path.strip_prefix('/').unwrap_or(&path);
    let inside = inside.strip_suffix('/').unwrap_or(inside);
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_~".contains(c);
    let is_plain = |segment: &str| match segment.strip_prefix('.') {
        Some(rest) => rest.starts_with(is_word),
        None => !segment.is_empty(),
    };
    if path == "/" || (!path.contains('+') && inside.split('/').all(is_plain)) {
        return Ok(path);
    }
    Err("a path that everybody reads in one way: no '//', no segment '.' or '..', no '+'")
}

impl FromStr for StreamPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = one_reading(PathText::from_str(text)?.0)?;
        Ok(Self(path.strip_suffix('/').unwrap_or(&path).to_owned()))
    }
}

impl FromStr for ListenAt {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = "an IP address of this machine and a port, such as 127.0.0.1:10000, 0.0.0.0:10000 or [::]:10000; Envoy listens on no name";
        let at = Endpoint::from_str(text).map_err(|_| form)?;
        if at.host.parse::<std::net::IpAddr>().is_ok() { Ok(Self(at)) } else { Err(form) }
    }
}

impl FromStr for Plain {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_graphic() && !b"\"\\$".contains(&b);
        if !text.is_empty() && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err("printable ASCII without blanks, quotes, backslashes and '$'")
    }
}

impl FromStr for Keys {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('/') {
            return PathText::from_str(text).map(Self::File);
        }
        let form = "a URL such as https://login.example.com/keys.json, or a file's path from '/' on";
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(form),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let with_port = || Endpoint::from_str(&format!("{authority}:{}", if tls { 443 } else { 80 }));
        let endpoint = Endpoint::from_str(authority).or_else(|_| with_port()).map_err(|_| form)?;
        Ok(Self::Url { text: Plain::from_str(text)?, endpoint, tls })
    }
}

impl OpenPath {
    /// Whether all below it is meant.
    pub fn is_prefix(&self) -> bool {
        self.0.ends_with('/')
    }

    /// Whether this path needs no key by it.
    pub fn opens(&self, path: &str) -> bool {
        path == self.0 || (self.is_prefix() && path.starts_with(&self.0))
    }
}

impl StreamPath {
    /// The matcher of a route, as a configuration names it.
    pub fn matcher(&self) -> String {
        if self.0.is_empty() {
            return "prefix: \"/\"".to_owned();
        }
        format!("path_separated_prefix: \"{}\"", self.0)
    }
}

impl Endpoint {
    /// As a configuration names it.
    pub fn address(&self) -> String {
        format!("{{ socket_address: {{ address: \"{}\", port_value: {} }} }}", self.host, self.port)
    }
}

impl fmt::Display for Endpoint {
    /// As people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}
