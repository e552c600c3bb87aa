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

/// A path with all below it, without the slash at its end: Envoy takes none there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamPath(pub PathText);

/// A path that needs no key; with all below it when it ends in a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenPath(pub String);

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

impl FromStr for StreamPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match PathText::from_str(text)?.0.trim_end_matches('/') {
            "" => Err("not \"/\", which would be every path"),
            path => Ok(Self(PathText(path.to_owned()))),
        }
    }
}

impl FromStr for OpenPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match PathText::from_str(text)?.0 {
            path if path == "/" => Err("not \"/\", which would open everything"),
            path => Ok(Self(path)),
        }
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
}

impl fmt::Display for Endpoint {
    /// As a configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ socket_address: {{ address: \"{}\", port_value: {} }} }}", self.host, self.port)
    }
}
