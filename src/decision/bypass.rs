//! Which requests pass without a key. Rules are narrow on purpose: a path that two programs could read in two ways never
//! matches one, so that `/healthz/../v1/agents` needs a key wherever it ends up.

pub use crate::contract::path::is_unambiguous;
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

#[cfg(test)]
mod tests;
