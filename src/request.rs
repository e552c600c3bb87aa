//! What the filter needs of a request, taken from the header bytes in one pass.
//!
//! The host hands over all headers in one serialised map, so that repeated headers are seen (a single look-up returns only
//! the first) and one host call is enough. Nothing is assumed to be UTF-8.

use crate::api_key::Authorization;
use crate::bytes::equal;

/// The parts of a request's head that decisions depend on. Borrows the host's bytes.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:path`, with the query.
    pub path: &'a [u8],
    /// `authorization`.
    pub authorization: Authorization<'a>,
    /// True when `origin` is there.
    pub has_origin: bool,
    /// True when `access-control-request-method` is there.
    pub has_requested_method: bool,
    /// What the client sent below [`IDENTITY_PREFIX`] and must not reach the upstream.
    pub forged: Forged<'a>,
}

/// Names below [`IDENTITY_PREFIX`]. No memory is allocated for fewer than two that are not identity headers.
#[derive(Clone, Debug, Default)]
pub struct Forged<'a> {
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

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            method: b"",
            path: b"",
            authorization: Authorization::Absent,
            has_origin: false,
            has_requested_method: false,
            forged: Forged::default(),
        }
    }
}

impl<'a> Request<'a> {
    /// Reads the map as the proxy-wasm ABI 0.2.1 serialises it: a count, the lengths of all names and values, then
    /// each followed by a zero byte. `None` when the bytes are not such a map.
    pub fn from_map(map: &'a [u8]) -> Option<Self> {
        let mut request = Self::default();
        request.read(map)?;
        Some(request)
    }

    /// The same in place: on the request path nothing is moved.
    pub fn read(&mut self, map: &'a [u8]) -> Option<()> {
        read_map(map, |header| self.note(header))
    }

    /// Takes one header into account; names are lower-case, as Envoy has them.
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
            b'a' if header.is(b"access-control-request-method") => self.has_requested_method = true,
            b'o' if header.is(b"origin") => self.has_origin = true,
            _ => {}
        }
    }

    /// A browser's question before a cross-origin request (Fetch standard, CORS-preflight request). Browsers never put
    /// credentials on it, so a request with some is none.
    pub fn is_cors_preflight(&self) -> bool {
        let asks = self.method == b"OPTIONS" && self.has_origin && self.has_requested_method;
        asks && matches!(self.authorization, Authorization::Absent)
    }

    /// The path without its query.
    pub fn path_without_query(&self) -> &'a [u8] {
        self.path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or(self.path)
    }
}

impl<'a> Forged<'a> {
    fn note(&mut self, name: &'a [u8]) {
        let known =
            IDENTITY_HEADERS.iter().zip(&mut self.copies).find(|(known, _)| equal(known.as_bytes(), name));
        match known {
            Some((_, copies)) => *copies = copies.saturating_add(1),
            None if self.other.is_none() => self.other = Some(name),
            None if self.other == Some(name) || self.more.contains(&name) => {}
            None => self.more.push(name),
        }
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

/// True for a name below [`IDENTITY_PREFIX`], also when it is spelled with underscores: many upstreams (CGI, WSGI) take
/// `x_flametalk_key_id` and `x-flametalk-key-id` for the same header.
fn is_identity(name: &[u8]) -> bool {
    let Some([b'x', b'-' | b'_', word @ .., b'-' | b'_']) = name.first_chunk::<{ IDENTITY_PREFIX.len() }>()
    else {
        return false;
    };
    equal(word, b"flametalk")
}

/// The `:status` of a serialised map of response headers.
pub fn status_of(map: &[u8]) -> Option<Vec<u8>> {
    let mut status = None;
    read_map(map, |header| {
        if header.name() == b":status" {
            status = Some(header.value().to_vec());
        }
    })?;
    status
}

/// Writes a map in the form that the host reads.
pub fn serialize_map<'t>(headers: impl Iterator<Item = (&'t str, &'t str)> + Clone) -> Vec<u8> {
    let number = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = number(headers.clone().count()).to_vec();
    for (name, value) in headers.clone() {
        out.extend_from_slice(&number(name.len()));
        out.extend_from_slice(&number(value.len()));
    }
    for text in headers.flat_map(|(name, value)| [name, value]) {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    }
    out
}

/// A header in a serialised map: its name, a byte, its value, a byte. Most are of no interest, so it is taken apart only when
/// it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    text: &'a [u8],
    name_len: usize,
}

impl<'a> Header<'a> {
    /// The first byte of the name; of an empty name, the byte after it.
    fn first_byte(self) -> u8 {
        self.text.first().copied().unwrap_or(0)
    }

    /// True when that is the name.
    fn is(self, name: &[u8]) -> bool {
        self.name_len == name.len() && equal(self.name(), name)
    }

    /// The name.
    pub fn name(self) -> &'a [u8] {
        self.text.get(..self.name_len).unwrap_or_default()
    }

    /// The value.
    pub fn value(self) -> &'a [u8] {
        let rest = self.text.get(self.name_len..).unwrap_or_default();
        if let [_, value @ .., _] = rest { value } else { b"" }
    }
}

/// Calls `note` with every header of a serialised map; `None` when the bytes are not such a map.
pub fn read_map<'a>(map: &'a [u8], mut note: impl FnMut(Header<'a>)) -> Option<()> {
    let (lengths, mut texts) = parts(map)?;
    for pair in lengths {
        let (name, value) = name_and_value(*pair)?;
        let len = name.checked_add(value)?.checked_add(2)?;
        let (text, rest) = texts.split_at_checked(len)?;
        texts = rest;
        note(Header { text, name_len: name });
    }
    Some(())
}

/// The lengths of a serialised map's names and values, and its texts.
fn parts(map: &[u8]) -> Option<(&[[u8; 8]], &[u8])> {
    let (count, rest) = map.split_first_chunk()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let (lengths, texts) = rest.split_at_checked(count.checked_mul(8)?)?;
    Some((lengths.as_chunks().0, texts))
}

/// Length of a name and of its value, read as one number.
fn name_and_value(pair: [u8; 8]) -> Option<(usize, usize)> {
    let pair = u64::from_le_bytes(pair);
    Some((usize::try_from(pair & 0xFFFF_FFFF).ok()?, usize::try_from(pair >> 32).ok()?))
}

#[cfg(test)]
mod tests;
