//! What the filter needs of a request, taken from the header bytes in one pass.
//!
//! The host hands over all headers in one serialised map, so that repeated headers are seen (a single look-up returns only
//! the first) and one host call is enough. Nothing is assumed to be UTF-8.

use crate::api_key::Authorization;
use crate::bytes::Reader;

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
    /// Names below [`IDENTITY_PREFIX`] that the client sent and that must not reach the upstream, each once.
    pub forged: Vec<&'a [u8]>,
    /// True when one of them was sent more than once.
    pub has_repeated_forgery: bool,
}

/// Headers below this prefix say who is calling; only the filter may set them.
pub const IDENTITY_PREFIX: &[u8] = b"x-flametalk-";

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            method: b"",
            path: b"",
            authorization: Authorization::Absent,
            has_origin: false,
            has_requested_method: false,
            forged: Vec::new(),
            has_repeated_forgery: false,
        }
    }
}

impl<'a> Request<'a> {
    /// Reads the map as the proxy-wasm ABI 0.2.1 serialises it: a count, the lengths of all names and values, then
    /// each followed by a zero byte. `None` when the bytes are not such a map.
    pub fn from_map(map: &'a [u8]) -> Option<Self> {
        let mut request = Self::default();
        read_map(map, |name, value| request.note(name, value))?;
        Some(request)
    }

    /// Takes one header into account; names are lower-case, as Envoy has them.
    pub fn note(&mut self, name: &'a [u8], value: &'a [u8]) {
        match name {
            b":method" => self.method = value,
            b":path" => self.path = value,
            b"authorization" => {
                self.authorization = match self.authorization {
                    Authorization::Absent => Authorization::Single(value),
                    _ => Authorization::Repeated,
                };
            }
            b"origin" => self.has_origin = true,
            b"access-control-request-method" => self.has_requested_method = true,
            _ if is_identity(name) && self.forged.contains(&name) => self.has_repeated_forgery = true,
            _ if is_identity(name) => self.forged.push(name),
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

/// True for a name below [`IDENTITY_PREFIX`], also when it is spelled with underscores: many upstreams (CGI, WSGI) take
/// `x_flametalk_key_id` and `x-flametalk-key-id` for the same header.
fn is_identity(name: &[u8]) -> bool {
    let same = |(byte, wanted): (&u8, &u8)| byte == wanted || (*byte == b'_' && *wanted == b'-');
    name.len() >= IDENTITY_PREFIX.len() && name.iter().zip(IDENTITY_PREFIX).all(same)
}

/// The `:status` of a serialised map of response headers.
pub fn status_of(map: &[u8]) -> Option<Vec<u8>> {
    let mut status = None;
    read_map(map, |name, value| {
        if name == b":status" {
            status = Some(value.to_vec());
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

/// Calls `note` with every header of a serialised map; `None` when the bytes are not such a map.
pub fn read_map<'a>(map: &'a [u8], mut note: impl FnMut(&'a [u8], &'a [u8])) -> Option<()> {
    let mut lengths = Reader::new(map);
    let count = usize::try_from(lengths.u32()?).ok()?;
    let mut texts = lengths;
    texts.take(count.checked_mul(8)?)?;
    for _ in 0..count {
        let name = texts.take(usize::try_from(lengths.u32()?).ok()?)?;
        texts.take(1)?;
        let value = texts.take(usize::try_from(lengths.u32()?).ok()?)?;
        texts.take(1)?;
        note(name, value);
    }
    Some(())
}

#[cfg(test)]
mod tests;
