//! Which requests pass without a key. Rules are narrow on purpose: a path that two programs could read in two ways never
//! matches one, so that `/healthz/../v1/agents` needs a key wherever it ends up.

use crate::request::Request;

/// One rule of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BypassRule {
    /// The path or its beginning, without a query.
    pub path: String,
    /// True when every path that begins with `path` matches. `path` then ends in `/`.
    pub prefix: bool,
    /// Methods that match; empty for all.
    pub methods: Vec<String>,
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
    fn matches(&self, method: &[u8], path: &[u8]) -> bool {
        let rule = self.path.as_bytes();
        let path_matches = if self.prefix { path.starts_with(rule) } else { path == rule };
        path_matches && (self.methods.is_empty() || self.methods.iter().any(|m| m.as_bytes() == method))
    }
}

/// Decides whether the request needs no key.
pub fn bypass(rules: &[BypassRule], allow_preflight: bool, request: &Request<'_>) -> Option<Bypass> {
    if allow_preflight && request.is_cors_preflight() {
        return Some(Bypass::Preflight);
    }
    if rules.is_empty() {
        return None;
    }
    let path = request.path_without_query();
    let matches = is_unambiguous(path) && rules.iter().any(|rule| rule.matches(request.method, path));
    matches.then_some(Bypass::Path)
}

/// True for a path with one reading only: absolute, no empty or dot segments, no backslash, no control or non-ASCII byte,
/// no parameters (`;`), and no percent-encoded byte that is one of those or a percent sign.
pub fn is_unambiguous(path: &[u8]) -> bool {
    let Some(segments) = path.strip_prefix(b"/") else { return false };
    // One trailing slash is an ordinary path; everything else between slashes must be there.
    let segments = segments.strip_suffix(b"/").unwrap_or(segments);
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b';');
    let lone = path == b"/" || segments.split(|b| *b == b'/').all(|s| !matches!(s, b"" | b"." | b".."));
    lone && path.iter().all(plain) && !has_encoded_trick(path)
}

fn has_encoded_trick(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'%').skip(1).any(|after| match after {
        [high, low, ..] => {
            let code = [high.to_ascii_lowercase(), low.to_ascii_lowercase()];
            let separator = matches!(&code, b"2f" | b"5c" | b"2e" | b"25" | b"3b" | b"7f");
            separator || !matches!(code, [b'2'..=b'7', b'0'..=b'9' | b'a'..=b'f'])
        }
        _ => true,
    })
}

#[cfg(test)]
mod tests;
