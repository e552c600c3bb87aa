//! Which requests pass without a key. Rules are narrow on purpose: a path that two programs could read in two ways never
//! matches one, so that `/healthz/../v1/agents` needs a key wherever it ends up.

use crate::decision::request::Request;

/// One rule of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BypassRule {
    /// The path or its beginning, without a query.
    pub path: String,
    /// True when every path that begins with `path` matches. `path` then ends in `/`.
    pub prefix: bool,
    /// Methods that match; empty for all.
    pub methods: Vec<String>,
    /// True when it also admits upgrades (WebSocket, CONNECT).
    pub upgrade: bool,
}

/// Why a request passes without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bypass {
    /// A configured rule matches.
    Path,
    /// A CORS preflight.
    Preflight,
}

impl Bypass {
    /// The word used in filter state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Preflight => "preflight",
        }
    }
}

impl BypassRule {
    /// True when requests with this path may pass without a key, by whatever method.
    pub fn opens(&self, path: &str) -> bool {
        if self.prefix { path.starts_with(&self.path) } else { path == self.path }
    }

    fn matches(&self, request: &Request<'_>, path: &[u8]) -> bool {
        let rule = self.path.as_bytes();
        let path_matches = if self.prefix { path.starts_with(rule) } else { path == rule };
        // Behind an HTTP/2 hop an upgrade arrives as GET, whatever its method was, so both must be open.
        path_matches
            && self.admits(request.method)
            && (!request.is_upgrade() || (self.upgrade && self.admits(b"GET")))
    }

    fn admits(&self, method: &[u8]) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|open| open.as_bytes() == method)
    }
}

/// Decides whether the request needs no key.
pub fn bypass(rules: &[BypassRule], allow_preflight: bool, request: &Request<'_>) -> Option<Bypass> {
    if allow_preflight && request.is_cors_preflight() {
        return Some(Bypass::Preflight);
    }
    // Most paths match no rule, and these need not be read byte by byte: neither for the query's beginning nor for what is in them.
    if !rules.iter().any(|rule| request.path.starts_with(rule.path.as_bytes())) {
        return None;
    }
    let path = request.path_without_query();
    let matches = rules.iter().any(|rule| rule.matches(request, path)) && is_unambiguous(path);
    matches.then_some(Bypass::Path)
}

/// True for a path with one reading only. It is absolute, and each segment (one empty one at the end is an ordinary slash) is of
/// bytes that a path may have (RFC 3986 section 3.3), without parameters (`;`) and `+`. Of percent-encoded bytes only letters, digits,
/// `-`, `_` and `~` mean the same when they are decoded (section 2.3); any other may be cut at, trimmed, or resolved by whoever
/// decodes it. A dot at the beginning of a segment is followed by a letter, a digit, `-`, `_` or `~`, as in `/.well-known`.
pub fn is_unambiguous(path: &[u8]) -> bool {
    let Some(segments) = path.strip_prefix(b"/") else { return false };
    let segments = segments.strip_suffix(b"/").unwrap_or(segments);
    path == b"/" || segments.split(|byte| *byte == b'/').all(is_plain_segment)
}

fn is_plain_segment(segment: &[u8]) -> bool {
    let plain_beginning = match segment {
        [] | [b'.'] => false,
        [b'.', second, ..] => is_word(*second),
        _ => true,
    };
    let mut parts = segment.split(|byte| *byte == b'%');
    let literal = |part: &[u8]| part.iter().all(|byte| is_literal(*byte));
    plain_beginning
        && parts.next().is_none_or(literal)
        && parts.all(|part| is_encoded_word(part) && literal(part))
}

/// A byte that may stand in a segment as it is: `pchar` of RFC 3986, without `;`, without `%`, and without `+`, which is a
/// blank to whoever decodes paths as forms.
const fn is_literal(byte: u8) -> bool {
    is_word(byte)
        || matches!(byte, b'.' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b',' | b'=' | b':' | b'@')
}

/// A letter, a digit, `-`, `_` or `~`: `unreserved` of RFC 3986, without the dot.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~')
}

/// True when the two digits at the beginning, which followed a percent sign, encode a word's byte.
fn is_encoded_word(after: &[u8]) -> bool {
    let Some(digits) = after.first_chunk::<2>() else { return false };
    let text =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    text.and_then(|text| u8::from_str_radix(text, 16).ok()).is_some_and(is_word)
}

#[cfg(test)]
mod tests;
