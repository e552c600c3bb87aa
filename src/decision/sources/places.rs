//! The places of a configuration.

/// One place where a key may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `Authorization: Bearer <key>`.
    Bearer,
    /// `Authorization: Basic`, with the key as user name and any password.
    BasicUsername,
    /// The whole value of the header of this name.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// A cookie.
    Cookie(String),
    /// A protocol that the client offers for a WebSocket, behind this prefix: the one thing that a browser lets a page say there.
    WebsocketProtocol(String),
}

/// Most places of one configuration.
pub const MAX_SOURCES: usize = 8;
/// Longest name of a place, in bytes.
pub const MAX_NAME_LEN: usize = 63;
/// The header that has cookies.
pub(super) const COOKIE: &str = "cookie";
/// The header in which protocols are offered.
pub(super) const PROTOCOLS: &str = "sec-websocket-protocol";

/// The places of a configuration, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySources {
    sources: Vec<Source>,
    /// A bit for each length that a header has in which one of them looks: settles most headers at one look.
    lengths: u64,
    /// Whether one of them looks elsewhere than in a header of its own.
    beside_headers: bool,
}

impl KeySources {
    /// At most [`MAX_SOURCES`] places, each once; more are left out.
    pub fn new(mut sources: Vec<Source>) -> Self {
        sources.truncate(MAX_SOURCES);
        let length = |source: &Source| source.header().map_or(0, |name| bit(name.len()));
        let lengths = sources.iter().fold(0, |bits, source| bits | length(source));
        let beside_headers = sources.iter().any(|source| source.header().is_none());
        Self { sources, lengths, beside_headers }
    }

    /// All of them.
    pub fn all(&self) -> &[Source] {
        &self.sources
    }

    /// True when `authorization` is one of the places.
    pub fn use_authorization(&self) -> bool {
        self.sources.iter().any(|source| matches!(source, Source::Bearer | Source::BasicUsername))
    }

    /// True for the one place that is looked at when nothing is configured.
    pub fn is_default(&self) -> bool {
        self.sources == [Source::Bearer]
    }

    /// True when one of them looks in `authorization` or the path, which are read anyway.
    pub(super) const fn beside_headers(&self) -> bool {
        self.beside_headers
    }

    /// True when a header with a name of this length may be one of the places.
    pub(super) const fn may_be(&self, name_len: usize) -> bool {
        self.lengths & bit(name_len) != 0
    }
}

impl Source {
    /// The header in which it looks; `authorization` and the path are read anyway.
    pub(super) fn header(&self) -> Option<&str> {
        match self {
            Self::Bearer | Self::BasicUsername | Self::Query(_) => None,
            Self::Header(name) => Some(name),
            Self::Cookie(_) => Some(COOKIE),
            Self::WebsocketProtocol(_) => Some(PROTOCOLS),
        }
    }
}

const fn bit(len: usize) -> u64 {
    if len <= MAX_NAME_LEN { 1 << len } else { 0 }
}
