//! The credential of a request: from what stands under `authorization`, or in the places that a configuration names instead
//! ([`super::sources`]), to a token. A header may hold any bytes, and what it holds is in types that cannot be printed.

use std::fmt;

use crate::contract::key::ApiKey;

/// What the client sent under `authorization`, or in another place of a credential, before it is understood.
#[derive(Clone, Copy)]
pub enum Authorization<'a> {
    /// It is not there.
    Absent,
    /// It is there exactly once.
    Single(&'a [u8]),
    /// It is there more than once; which one counts would be a guess, so none does.
    Repeated,
}

/// What a request is recognised and authenticated by.
#[derive(Clone, Copy)]
pub enum Presented<'a> {
    /// `authorization` alone counts. It is recognised as it stands, and understood only when it is not.
    Header(Authorization<'a>),
    /// What stands in the places that the configuration names.
    Token(Result<BearerToken<'a>, NoToken>),
}

/// Why no bearer token could be taken from the request: all of these are `UNAUTHORIZED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// No `Authorization` header, and nothing in any other place of a key.
    Missing,
    /// More than one, or one that Envoy joined with a comma; or two different keys in different places.
    Repeated,
    /// Another scheme than Bearer (or Basic, where that is a place of a key), or no scheme.
    Scheme,
    /// `Bearer` with nothing behind it, or another place that is there and empty.
    Empty,
    /// No `Authorization` header, on what would be a CORS preflight if it had no body.
    PreflightBody,
    /// No `Authorization` header, on a request that says that it comes back by an internal redirect.
    Redirected,
}

/// The token of a `Bearer` header, or what stands for it in another place; not yet known to look like a key.
#[derive(Clone, Copy)]
pub struct BearerToken<'a>(&'a [u8]);

impl<'a> BearerToken<'a> {
    /// Takes the token from the header's value. The scheme is case-insensitive (RFC 9110 section 11.1), white space
    /// around value and token is ignored, and a comma anywhere means that several values were joined.
    pub fn parse(header: Authorization<'a>) -> Result<Self, NoToken> {
        let value = match header {
            Authorization::Absent => return Err(NoToken::Missing),
            Authorization::Repeated => return Err(NoToken::Repeated),
            Authorization::Single(value) => trim(value),
        };
        if value.contains(&b',') {
            return Err(NoToken::Repeated);
        }
        let end = value.iter().position(|b| is_blank(*b)).unwrap_or(value.len());
        let (scheme, rest) = value.split_at(end);
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return Err(NoToken::Scheme);
        }
        match trim(rest) {
            [] => Err(NoToken::Empty),
            token => Ok(Self(token)),
        }
    }

    /// A token that was found in another place.
    pub const fn whole(token: &'a [u8]) -> Self {
        Self(token)
    }

    /// Its bytes: for whoever compares them, and nobody else.
    pub(super) const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The token as a key, when it has the form of one.
    pub fn api_key(self) -> Option<ApiKey<'a>> {
        ApiKey::from_bytes(self.0)
    }
}

impl<'a> Presented<'a> {
    /// What is recognised: the same bytes are the same key. `None` when there is nothing to try.
    pub const fn value(self) -> Option<&'a [u8]> {
        match self {
            Self::Header(Authorization::Single(value)) | Self::Token(Ok(BearerToken(value))) => Some(value),
            _ => None,
        }
    }

    /// The token.
    pub fn token(self) -> Result<BearerToken<'a>, NoToken> {
        match self {
            Self::Header(header) => BearerToken::parse(header),
            Self::Token(token) => token,
        }
    }
}

impl<'a> From<Authorization<'a>> for Presented<'a> {
    fn from(header: Authorization<'a>) -> Self {
        Self::Header(header)
    }
}

/// Optional white space of RFC 9110 section 5.6.3. Envoy trims it from HTTP/1 values but not from HTTP/2 ones.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value
        && is_blank(*first)
    {
        value = rest;
    }
    while let [rest @ .., last] = value
        && is_blank(*last)
    {
        value = rest;
    }
    value
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

impl fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Single(_) => "Single(redacted)",
            Self::Repeated => "Repeated",
        })
    }
}

impl fmt::Debug for BearerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(redacted)")
    }
}

#[cfg(test)]
mod tests;
