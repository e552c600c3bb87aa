//! The case table: what a client sends, and what the contract says happens. Plain data, so that the fake host
//! (`tests/filter_flow.rs`) and a real Envoy (`tests/e2e/tests/contract.rs`) run the very same rows.
//!
//! The rows stand in `credentials.rs`, `requests.rs`, `restrictions.rs`, `key_sources.rs` and `route_settings.rs`; [`all`] gives them all. A runner makes the keys that
//! [`KeyKind`] names, puts the plaintext where path or value say `{key}` and Basic credentials where they say `{basic}`, and checks everything that [`Expect`] implies.

mod credentials;
mod key_sources;
mod requests;
mod restrictions;
mod route_settings;

pub use key_sources::KEY_SOURCES_JSON;
pub use route_settings::ROUTES;

/// The bypass rules that every gateway of this table is configured with, as in the plugin configuration.
pub const BYPASS_JSON: &str =
    r#"[{"path":"/healthz"},{"path":"/public/","match":"prefix","methods":["GET"]}]"#;

/// One request and its verdict.
#[derive(Clone, Copy)]
pub struct Case {
    /// What the row shows; unique in the table.
    pub name: &'static str,
    /// The gateway that is asked.
    pub gateway: Gateway,
    /// Request method.
    pub method: &'static str,
    /// Request target, with its query.
    pub path: &'static str,
    /// Request headers besides `authorization`, names in lower case, in order; a name may repeat. Values are filled, as the path is.
    pub headers: &'static [(&'static str, &'static [u8])],
    /// Which key `{key}` stands for.
    pub key: KeyKind,
    /// The `authorization` header lines; empty means that there is no such header.
    pub authorization: &'static [&'static [u8]],
    /// What comes behind the headers; `None` when the request ends with them. An empty body is a body.
    pub body: Option<&'static [u8]>,
    /// The verdict on the filter alone.
    pub expect: Expect,
    /// The verdict behind Envoy, where that joins headers, or changes or refuses the path before the filter sees it.
    pub expect_envoy: Option<Expect>,
    /// What reaches the upstream of these headers and of `:path`, instead of all headers as they were sent.
    pub arrives: Option<&'static [(&'static str, Option<&'static str>)]>,
}

/// The state of the gateway that a row asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// Has its key table and accepts both environments.
    Synced,
    /// Has its key table and accepts live keys only.
    LiveOnly,
    /// Has never received a key table.
    Unsynced,
    /// Has its key table and looks for keys in the places of [`KEY_SOURCES_JSON`].
    Sources,
    /// Has its key table, and its routes may say what requests cost and whose keys they are for: those of [`ROUTES`] do.
    Routes,
}

/// All of them.
pub const GATEWAYS: [Gateway; 5] =
    [Gateway::Synced, Gateway::LiveOnly, Gateway::Unsynced, Gateway::Sources, Gateway::Routes];

/// The key that a row uses. The runner makes it; only [`KeyKind::Unknown`] and [`KeyKind::None`] need nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// No value of the row contains `{key}`.
    None,
    /// An active `sk_live_` key with limits that the table cannot reach.
    Live,
    /// An active `sk_test_` key of the same workspace.
    Test,
    /// A live key that was active until its `expires_at`.
    Expired,
    /// A live key that was active until it was revoked.
    Revoked,
    /// A well-formed live key that nobody ever made: [`UNKNOWN_KEY`].
    Unknown,
    /// An active live key whose own limit is used up for the next minutes.
    KeyLimitReached,
    /// An active live key, itself unused, of a workspace whose limit is used up for the next minutes.
    WorkspaceLimitReached,
    /// An active live key with [`RESTRICT_JSON`].
    Restricted,
    /// An active live key for clients that no test is: 192.0.2.0/24.
    Elsewhere,
}

/// What [`KeyKind::Restricted`] may be used for. Tests come from a loopback address.
pub const RESTRICT_JSON: &str =
    r#"{"methods":["GET","HEAD"],"paths":["/v1/agents","/v1/agents/*"],"addresses":["127.0.0.0/8","::1"]}"#;

/// What [`KeyKind::Unknown`] stands for: the right form, and no record of it anywhere.
pub const UNKNOWN_KEY: &str = "sk_live_0000000000000000000000000000000000001a";

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Reaches the upstream with the key's identity and without its `authorization`.
    Permitted,
    /// Reaches the upstream with no identity at all.
    Bypassed(Bypass),
    /// Is answered by the gateway.
    Denied(Denial),
    /// Is answered by Envoy itself, with 400, before any filter sees it; no counter of ours moves.
    BadRequest,
}

/// Why no key was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bypass {
    /// A bypass rule matches.
    Path,
    /// A true CORS preflight.
    Preflight,
}

/// Why the request was refused; each moves a counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the reason label of its counter")]
pub enum Denial {
    Missing,
    Repeated,
    Scheme,
    Empty,
    PreflightBody,
    Redirected,
    Malformed,
    Unknown,
    Expired,
    Environment,
    Method,
    Path,
    Address,
    KeyLimit,
    WorkspaceLimit,
    NotSynced,
    RouteSettings,
}

/// What a client sees of a denial. Headers given as `None` only have to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status, for requests that are not gRPC.
    pub status: u16,
    /// `grpc-status`, for those that are.
    pub grpc_status: u8,
    /// The error's code in the body.
    pub code: &'static str,
    /// The error's message in the body.
    pub message: &'static str,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: &'static str,
    /// Headers that the contract names for this status.
    pub headers: &'static [(&'static str, Option<&'static str>)],
}

impl Case {
    /// The row's verdict behind a real Envoy.
    pub fn on_envoy(&self) -> Expect {
        self.expect_envoy.unwrap_or(self.expect)
    }

    /// The `authorization` lines with `key` in them.
    pub fn authorization_lines(&self, key: &str) -> Vec<Vec<u8>> {
        self.authorization.iter().map(|line| fill(line, key)).collect()
    }

    /// The other header lines with `key` in them.
    pub fn header_lines(&self, key: &str) -> Vec<(&'static str, Vec<u8>)> {
        self.headers.iter().map(|(name, line)| (*name, fill(line, key))).collect()
    }

    /// The path with `key` in it.
    pub fn path_with(&self, key: &str) -> String {
        self.path.replace("{key}", key)
    }

    /// What a 401 with this challenge asks for at the row's gateway.
    pub fn challenges<'c>(&self, bearer: &'c str) -> Vec<&'c str> {
        let basic =
            (self.gateway == Gateway::Sources).then_some(r#"Basic realm="flametalk", charset="UTF-8""#);
        [bearer].into_iter().chain(basic).collect()
    }

    /// True when Envoy takes the request for gRPC: `application/grpc` alone or with a `+` suffix.
    pub fn is_grpc(&self) -> bool {
        self.headers.iter().any(|(name, value)| {
            *name == "content-type"
                && (*value == b"application/grpc" || value.starts_with(b"application/grpc+"))
        })
    }
}

impl Expect {
    /// The labels `verdict` and `reason` of the one counter that moves, if one does.
    pub const fn counter(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Permitted => Some(("permitted", "key")),
            Self::Bypassed(Bypass::Path) => Some(("bypassed", "path")),
            Self::Bypassed(Bypass::Preflight) => Some(("bypassed", "preflight")),
            Self::Denied(denial) => Some(denial.counter()),
            Self::BadRequest => None,
        }
    }
}

impl Denial {
    /// The labels `verdict` and `reason` of the one counter that moves.
    pub const fn counter(self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => ("unauthorized", "missing"),
            Self::Repeated => ("unauthorized", "repeated"),
            Self::Scheme => ("unauthorized", "scheme"),
            Self::Empty => ("unauthorized", "empty"),
            Self::PreflightBody => ("unauthorized", "preflight_body"),
            Self::Redirected => ("unauthorized", "redirected"),
            Self::Malformed => ("invalid_api_key", "malformed"),
            Self::Unknown => ("invalid_api_key", "unknown"),
            Self::Expired => ("invalid_api_key", "expired"),
            Self::Environment => ("invalid_api_key", "environment"),
            Self::Method => ("forbidden", "method"),
            Self::Path => ("forbidden", "path"),
            Self::Address => ("forbidden", "address"),
            Self::KeyLimit => ("rate_limited", "key"),
            Self::WorkspaceLimit => ("rate_limited", "workspace"),
            Self::NotSynced => ("unavailable", "not_synced"),
            Self::RouteSettings => ("unavailable", "route_settings"),
        }
    }

    /// The contract's row for this denial.
    pub const fn reply(self) -> &'static Reply {
        match self {
            Self::Missing
            | Self::Repeated
            | Self::Scheme
            | Self::Empty
            | Self::PreflightBody
            | Self::Redirected => &UNAUTHORIZED,
            Self::Malformed | Self::Unknown | Self::Expired | Self::Environment => &INVALID_API_KEY,
            Self::Method | Self::Path | Self::Address => &FORBIDDEN,
            Self::KeyLimit | Self::WorkspaceLimit => &RATE_LIMITED,
            Self::NotSynced | Self::RouteSettings => &UNAVAILABLE,
        }
    }
}

impl Reply {
    /// The whole body, to the byte.
    pub fn body(&self) -> String {
        format!(r#"{{"success":false,"error":{{"code":"{}","message":"{}"}}}}"#, self.code, self.message)
    }
}

const UNAUTHORIZED: Reply = Reply {
    status: 401,
    grpc_status: 16,
    code: "UNAUTHORIZED",
    message: "Invalid or missing API key",
    details: "flamegate_unauthorized",
    headers: &[
        ("content-type", Some("application/json")),
        ("cache-control", Some("no-store")),
        ("www-authenticate", Some(r#"Bearer realm="flametalk""#)),
    ],
};

const INVALID_API_KEY: Reply = Reply {
    status: 401,
    grpc_status: 16,
    code: "INVALID_API_KEY",
    message: "The API key is invalid or has been revoked",
    details: "flamegate_invalid_api_key",
    headers: &[
        ("content-type", Some("application/json")),
        ("cache-control", Some("no-store")),
        ("www-authenticate", Some(r#"Bearer realm="flametalk", error="invalid_token""#)),
    ],
};

const FORBIDDEN: Reply = Reply {
    status: 403,
    grpc_status: 7,
    code: "FORBIDDEN",
    message: "This API key may not be used for this request",
    details: "flamegate_forbidden",
    headers: &[("content-type", Some("application/json")), ("cache-control", Some("no-store"))],
};

const RATE_LIMITED: Reply = Reply {
    status: 429,
    grpc_status: 8,
    code: "RATE_LIMITED",
    message: "Too many requests, slow down",
    details: "flamegate_rate_limited",
    headers: &[
        ("content-type", Some("application/json")),
        ("cache-control", Some("no-store")),
        ("retry-after", None),
        ("ratelimit", None),
        ("ratelimit-policy", None),
    ],
};

const UNAVAILABLE: Reply = Reply {
    status: 503,
    grpc_status: 14,
    code: "UNAVAILABLE",
    message: "API key verification is temporarily unavailable",
    details: "flamegate_unavailable",
    headers: &[
        ("content-type", Some("application/json")),
        ("cache-control", Some("no-store")),
        ("retry-after", Some("1")),
    ],
};

/// Every row of the table.
pub fn all() -> impl Iterator<Item = &'static Case> {
    let all = [credentials::ALL, requests::ALL, restrictions::ALL, key_sources::ALL, route_settings::ALL];
    all.into_iter().flatten().copied().flatten()
}

/// The row that the others are written as a difference to: a plain request with no key.
const BASE: Case = Case {
    name: "",
    gateway: Gateway::Synced,
    method: "GET",
    path: "/v1/agents",
    headers: &[],
    key: KeyKind::None,
    authorization: &[],
    body: None,
    expect: Expect::Denied(Denial::Missing),
    expect_envoy: None,
    arrives: None,
};

const BEARER: &[&[u8]] = &[b"Bearer {key}"];

/// A request with these `authorization` lines around a live key.
const fn with_live(name: &'static str, authorization: &'static [&'static [u8]], expect: Expect) -> Case {
    Case { name, key: KeyKind::Live, authorization, expect, ..BASE }
}

/// `template` with every `{key}` and `{basic}` replaced.
fn fill(template: &[u8], key: &str) -> Vec<u8> {
    let basic = base64(format!("{key}:").as_bytes());
    replace(&replace(template, b"{key}", key.as_bytes()), b"{basic}", basic.as_bytes())
}

fn replace(template: &[u8], mark: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
        let (before, from_mark) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(value);
        rest = from_mark.strip_prefix(mark).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |three: u32, place: usize| {
        let index = usize::try_from(three >> (18 - 6 * place) & 63).unwrap_or(0);
        LETTERS.get(index).map_or('=', |letter| char::from(*letter))
    };
    let of = |three: &[u8]| -> String {
        let number = [16, 8, 0].iter().zip(three).fold(0, |all, (by, byte)| all | u32::from(*byte) << by);
        (0..4).map(|place| if place <= three.len() { letter(number, place) } else { '=' }).collect()
    };
    bytes.chunks(3).map(of).collect()
}
