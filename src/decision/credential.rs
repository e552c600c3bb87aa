//! The credential of a request: from what stands under `authorization` to a bearer token. A header may hold any bytes, and what it
//! holds is in types that cannot be printed.

use std::fmt;

use crate::contract::key::ApiKey;

/// What the client sent under `authorization`, before it is understood.
#[derive(Clone, Copy)]
pub enum Authorization<'a> {
    /// The header is not there.
    Absent,
    /// The header is there exactly once.
    Single(&'a [u8]),
    /// The header is there more than once; which one counts would be a guess, so none does.
    Repeated,
}

/// Why no bearer token could be taken from the request: all of these are `UNAUTHORIZED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// No `Authorization` header.
    Missing,
    /// More than one, or one that Envoy joined with a comma.
    Repeated,
    /// Another scheme than Bearer, or no scheme.
    Scheme,
    /// `Bearer` with nothing behind it.
    Empty,
    /// No `Authorization` header, on what would be a CORS preflight if it had no body.
    PreflightBody,
    /// No `Authorization` header, on a request that says that it comes back by an internal redirect.
    Redirected,
}

/// The token of a `Bearer` header; not yet known to look like a key.
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

    /// The token as a key, when it has the form of one.
    pub fn api_key(self) -> Option<ApiKey<'a>> {
        ApiKey::from_bytes(self.0)
    }
}

/// Optional white space of RFC 9110 section 5.6.3. Envoy trims it from HTTP/1 values but not from HTTP/2 ones.
fn trim(mut value: &[u8]) -> &[u8] {
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
