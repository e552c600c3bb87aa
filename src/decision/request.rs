//! What the filter needs of a request, taken from the header bytes in one pass.
//!
//! The host hands over all headers in one serialised map, so that repeated headers are seen (a single look-up returns only
//! the first) and one host call is enough. Nothing is assumed to be UTF-8.

use crate::bytes::equal;

use super::credential::{Authorization, Presented};
use super::headers::{Header, read_map};
use super::sources::Found;

/// The parts of a request's head that decisions depend on. Borrows the host's bytes.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:path`, with the query.
    pub path: &'a [u8],
    /// `authorization`.
    pub authorization: Authorization<'a>,
    /// `origin`.
    pub origin: Once,
    /// `access-control-request-method`.
    pub requested_method: Once,
    /// True when the client asks for another protocol: by `upgrade`, or by `:protocol` (extended CONNECT, RFC 8441), of which
    /// Envoy makes `upgrade` before a filter sees it.
    pub upgrade: bool,
    /// True when the request goes on after its headers, be it with nothing: the host says so beside the headers.
    pub body: bool,
    /// True when Envoy takes it for gRPC, and makes a `grpc-status` of an answer's status.
    pub grpc: bool,
    /// What the client sent below [`IDENTITY_PREFIX`] and must not reach the upstream.
    pub forged: Forged<'a>,
    /// All headers, for what is asked about few requests.
    pub map: &'a [u8],
    /// What stands in the places of a key, when the configuration names others than `authorization`.
    pub found: Option<&'a Found<'a>>,
}

/// A header of which there should be one, with something in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Once {
    /// It is not there.
    #[default]
    Absent,
    /// It is there once, with one value.
    One,
    /// It is empty, or there are several, as lines or in one line.
    Wrong,
}

/// Names below [`IDENTITY_PREFIX`]. No memory is allocated for fewer than two that are not identity headers.
#[derive(Clone, Debug, Default)]
pub struct Forged<'a> {
    /// True when there is any: most requests have none, and then nothing below is looked at.
    any: bool,
    /// How often each of [`IDENTITY_HEADERS`] was sent; stops at 255.
    copies: [u8; IDENTITY_HEADERS.len()],
    other: Option<&'a [u8]>,
    more: Vec<&'a [u8]>,
}

/// Headers below this prefix say who is calling; only the filter may set them.
pub const IDENTITY_PREFIX: &[u8] = b"x-flametalk-";

/// The headers that the filter sets: workspace id, key id, environment.
pub const IDENTITY_HEADERS: [&str; 3] =
    ["x-flametalk-workspace-id", "x-flametalk-key-id", "x-flametalk-environment"];

/// What a request that passes in shadow would be told: a public code.
pub const SHADOW_HEADER: &str = "x-flametalk-shadow";

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            method: b"",
            path: b"",
            authorization: Authorization::Absent,
            origin: Once::Absent,
            requested_method: Once::Absent,
            upgrade: false,
            body: false,
            grpc: false,
            forged: Forged::default(),
            map: b"",
            found: None,
        }
    }
}

impl<'a> Request<'a> {
    /// A request of which nothing is known but whether it ends with its headers.
    pub fn with_body(body: bool) -> Self {
        Self { body, ..Self::default() }
    }

    /// Reads a serialised map of headers; see [`super::headers`]. `None` when the bytes are not such a map.
    pub fn from_map(map: &'a [u8]) -> Option<Self> {
        let mut request = Self::default();
        request.read(map)?;
        Some(request)
    }

    /// The same in place: on the request path nothing is moved.
    pub fn read(&mut self, map: &'a [u8]) -> Option<()> {
        self.map = map;
        read_map(map, |header| self.note(header))
    }

    /// The same, and what stands in the places of a key, which is then [`Self::found`]. Apart, so that [`Self::read`] is one loop.
    #[inline(never)]
    pub fn read_with(&mut self, map: &'a [u8], found: &mut Found<'a>) -> Option<()> {
        self.map = map;
        read_map(map, |header| {
            self.note(header);
            found.note(header);
        })?;
        found.settle(map, self.authorization, self.path);
        Some(())
    }

    /// What the request is recognised and authenticated by.
    pub fn presented(&self) -> Presented<'a> {
        match self.found {
            None => Presented::Header(self.authorization),
            Some(found) => Presented::Token(found.token()),
        }
    }

    /// Takes one header into account; names are lower-case, as Envoy has them.
    #[inline(always)]
    fn note(&mut self, header: Header<'a>) {
        // One look at the first byte settles most headers.
        match header.first_byte() {
            b':' if header.is(b":path") => self.path = header.value(),
            b':' if header.is(b":method") => self.method = header.value(),
            b'x' if is_identity(header.name()) => self.forged.note(header.name()),
            b'a' if header.is(b"authorization") => {
                self.authorization = match self.authorization {
                    Authorization::Absent => Authorization::Single(header.value()),
                    _ => Authorization::Repeated,
                };
            }
            b'a' if header.is(b"access-control-request-method") => self.requested_method.note(header.value()),
            b'o' if header.is(b"origin") => self.origin.note(header.value()),
            b'c' if header.is(b"content-type") => self.grpc = is_grpc(header.value()),
            b'u' if header.is(b"upgrade") => self.upgrade = true,
            b':' if header.is(b":protocol") => self.upgrade = true,
            _ => {}
        }
    }

    /// A browser's question before a cross-origin request (Fetch standard, CORS-preflight request). Browsers put neither
    /// credentials nor a body on it, and do not ask for another protocol; a request that does is none.
    pub fn is_cors_preflight(&self) -> bool {
        self.method == b"OPTIONS" && !self.body && self.asks_like_a_preflight()
    }

    /// A request that would be a preflight if it ended with its headers.
    pub fn is_preflight_with_body(&self) -> bool {
        self.method == b"OPTIONS" && self.body && self.asks_like_a_preflight()
    }

    /// Whether an OPTIONS is, but for its body.
    fn asks_like_a_preflight(&self) -> bool {
        self.origin == Once::One
            && self.requested_method == Once::One
            && matches!(self.authorization, Authorization::Absent)
            && !self.upgrade
            && self.found.is_none_or(|found| !found.is_beside_the_query())
    }

    /// A request for a connection of another kind. Envoy makes CONNECT of an HTTP/1 upgrade on an HTTP/2 hop, and GET of that
    /// on the next one, so its method is not the one that arrives.
    pub fn is_upgrade(&self) -> bool {
        self.upgrade || self.method == b"CONNECT"
    }

    /// True when Envoy says that it sends the request through the filters again; a client may say so too. Looks at all headers,
    /// so it is not for the ordinary path.
    #[cold]
    pub fn claims_to_be_redirected(&self) -> bool {
        let mut claims = false;
        let whole = read_map(self.map, |header| claims |= header.is(b"x-envoy-original-url"));
        whole.is_some() && claims
    }

    /// The path without its query, which begins at the first `?` and nowhere else.
    pub fn path_without_query(&self) -> &'a [u8] {
        self.path.split(|byte| *byte == b'?').next().unwrap_or(self.path)
    }
}

impl Once {
    /// Takes one line into account. Neither an origin nor a method has a comma or a blank in it: Envoy joins several lines with
    /// commas, and an old form of `Origin` was a list with blanks.
    fn note(&mut self, value: &[u8]) {
        let value = value.trim_ascii();
        let one = !value.is_empty() && !value.iter().any(|byte| matches!(byte, b',' | b' ' | b'\t'));
        *self = if one && *self == Self::Absent { Self::One } else { Self::Wrong };
    }
}

impl<'a> Forged<'a> {
    fn note(&mut self, name: &'a [u8]) {
        self.any = true;
        let known =
            IDENTITY_HEADERS.iter().zip(&mut self.copies).find(|(known, _)| equal(known.as_bytes(), name));
        match known {
            Some((_, copies)) => *copies = copies.saturating_add(1),
            None if self.other.is_none() => self.other = Some(name),
            None if self.other == Some(name) || self.more.contains(&name) => {}
            None => self.more.push(name),
        }
    }

    /// True when there is none.
    pub const fn is_empty(&self) -> bool {
        !self.any
    }

    /// How often each of [`IDENTITY_HEADERS`] was sent; stops at 255.
    pub const fn copies(&self) -> [u8; IDENTITY_HEADERS.len()] {
        self.copies
    }

    /// The other names, each once.
    pub fn others(&self) -> impl Iterator<Item = &'a [u8]> {
        self.other.into_iter().chain(self.more.iter().copied())
    }
}

/// True for a name below [`IDENTITY_PREFIX`], whatever byte that is no letter or digit stands for its dashes: many upstreams
/// (CGI, WSGI, and what maps names to variables or properties) take `x_flametalk_key_id`, `x.flametalk.key.id` and
/// `x-flametalk-key-id` for the same header.
fn is_identity(name: &[u8]) -> bool {
    // Two letters settle nearly every other name.
    let Some([b'x', first, b'f', b'l', rest @ .., second]) = name.first_chunk::<{ IDENTITY_PREFIX.len() }>()
    else {
        return false;
    };
    equal(rest, b"ametalk") && !first.is_ascii_alphanumeric() && !second.is_ascii_alphanumeric()
}

/// True for the content types that Envoy takes for gRPC: `application/grpc` alone or with a `+` suffix. gRPC-Web is none.
pub fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type.strip_prefix(GRPC).is_some_and(|rest| matches!(rest, [] | [b'+', ..]))
}

#[cfg(test)]
mod tests;
