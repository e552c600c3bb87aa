//! The rows of the instruction table: what is sent to which setup, and what it is called.

use anyhow::Result;

use crate::{
    connection::Downstream,
    envoy::{Flamegate, Guard},
    keys::Kind,
    load::Load,
    process::free_port,
};

/// One load on one setup.
#[derive(Clone, Copy)]
pub struct Series {
    /// Name of the row.
    pub id: &'static str,
    /// The same for people.
    pub what: &'static str,
    /// What is sent.
    pub load: Load,
    /// Header lines that only the gateway may set.
    pub forged: &'static str,
    /// What has to come back.
    pub status: u16,
}

/// A row with ordinary headers.
pub const fn series(id: &'static str, what: &'static str, load: Load, status: u16) -> Series {
    Series { id, what, load, forged: "", status }
}

/// One identity header: the filter overwrites it.
const FORGED_ONE: &str = "x-flametalk-key-id: key_forged\r\n";
/// All of them.
const FORGED_ALL: &str = "x-flametalk-workspace-id: ws_forged\r\nx-flametalk-key-id: key_forged\r\nx-flametalk-environment: live\r\n";
/// One, and one of another name, which the filter removes.
const FORGED_OTHER: &str = "x-flametalk-workspace-id: ws_spoofed\r\nx-flametalk-role: admin\r\n";

const fn forging(forged: &'static str, series: Series) -> Series {
    Series { forged, ..series }
}

/// What the proxy alone needs for a request with a key, for one with more headers, and for one without a key.
pub const BASELINES: [Series; 5] = [
    series("none", "no filter", HOT, 200),
    forging(FORGED_ONE, series("none-forged-one", "no filter, one more request header", HOT, 200)),
    forging(FORGED_OTHER, series("none-spoofed", "no filter, two more request headers", HOT, 200)),
    forging(FORGED_ALL, series("none-forged-all", "no filter, three more request headers", HOT, 200)),
    series("none-missing", "no filter, request without a key", Load::Missing, 200),
];

/// All with one busy key.
const HOT: Load = Load::Hot(Kind::Ordinary);

/// The proxies' own means and others' that know a key by a table.
pub const EMPTY: Series = series("empty-filter", "proxy-wasm filter that does nothing", HOT, 200);
/// Envoy's `api_key_auth`.
pub const API_KEY_AUTH: Series =
    series("api-key-auth", "native api_key_auth (plaintext keys, no limit)", HOT, 200);
/// The same with a limit.
pub const API_KEY_AUTH_LIMITED: Series =
    series("api-key-auth-limit", "native api_key_auth + local_ratelimit (one limit for all keys)", HOT, 200);
/// Lua.
pub const LUA: Series = series("lua", "Lua doing the same job (limits per worker)", HOT, 200);
/// `ext_authz` over HTTP and gRPC.
pub const EXT_AUTHZ: [Series; 2] = [
    series("ext-authz-http", "ext_authz over HTTP, with a Rust server", HOT, 200),
    series("ext-authz-grpc", "ext_authz over gRPC, with a Rust server", HOT, 200),
];
/// HAProxy without and with the check.
pub const HAPROXY: [Series; 2] = [
    series("haproxy-none", "HAProxy without a check", HOT, 200),
    series("haproxy", "HAProxy doing the same job (sha2, map, stick table)", HOT, 200),
];

/// The same with what makes them safe behind a gateway, as Flamegate is as shipped: the upstream is told who is calling, cannot be told so
/// by a client, and does not see the key.
pub const SAFE_API_KEY_AUTH: Series = series(
    "safe-api-key-auth",
    "native api_key_auth + local_ratelimit, the key's name passed on, the key hidden",
    HOT,
    200,
);
/// Lua.
pub const SAFE_LUA: Series =
    series("safe-lua", "Lua doing the same job, identity passed on, the key removed", HOT, 200);
/// `ext_authz` over HTTP and gRPC.
pub const SAFE_EXT_AUTHZ: [Series; 2] = [
    series("safe-ext-authz-http", "ext_authz over HTTP, identity passed on, the key removed", HOT, 200),
    series("safe-ext-authz-grpc", "ext_authz over gRPC, identity passed on, the key removed", HOT, 200),
];
/// HAProxy.
pub const SAFE_HAPROXY: Series =
    series("safe-haproxy", "HAProxy doing the same job, the key's id passed on, the key removed", HOT, 200);

/// The guard without a filter before it: it refuses, and this is what it costs by itself.
pub const GUARDS: [(Guard, Series); 2] = [
    (Guard::Matcher, series("guard-alone", "the guard alone, without the filter: 403", HOT, 403)),
    (Guard::Rbac, series("guard-rbac-alone", "the RBAC guard alone, without the filter: 403", HOT, 403)),
];

/// Another way to the gateway, or from it.
pub struct Way {
    /// How clients speak to it.
    pub downstream: Downstream,
    /// Whether requests go to an upstream instead of being answered by the route.
    pub upstream: bool,
    /// The proxy alone.
    pub none: Series,
    /// As shipped, by which guard.
    pub shipped: [(Flamegate, Series); 2],
}

const fn way(downstream: Downstream, upstream: bool, none: Series, shipped: [Series; 2]) -> Way {
    let [matcher, rbac] = shipped;
    Way {
        downstream,
        upstream,
        none,
        shipped: [(Flamegate::Shipped, matcher), (Flamegate::ShippedRbac, rbac)],
    }
}

/// All of them but HTTP/1.1 in clear, answered by the route.
pub const WAYS: [Way; 4] = [
    way(
        Downstream::Http1,
        true,
        series("none-upstream", "no filter, to an upstream", HOT, 200),
        [
            series("shipped-upstream", "Flamegate as shipped, to an upstream", HOT, 200),
            series("shipped-rbac-upstream", "Flamegate with the RBAC guard, to an upstream", HOT, 200),
        ],
    ),
    way(
        Downstream::Http1Tls,
        false,
        series("none-tls", "no filter, HTTP/1.1 by TLS", HOT, 200),
        [
            series("shipped-tls", "Flamegate as shipped, HTTP/1.1 by TLS", HOT, 200),
            series("shipped-rbac-tls", "Flamegate with the RBAC guard, HTTP/1.1 by TLS", HOT, 200),
        ],
    ),
    way(
        Downstream::Http2,
        false,
        series("none-h2", "no filter, HTTP/2 in clear", HOT, 200),
        [
            series("shipped-h2", "Flamegate as shipped, HTTP/2 in clear", HOT, 200),
            series("shipped-rbac-h2", "Flamegate with the RBAC guard, HTTP/2 in clear", HOT, 200),
        ],
    ),
    way(
        Downstream::Http2Tls,
        false,
        series("none-h2-tls", "no filter, HTTP/2 by TLS", HOT, 200),
        [
            series("shipped-h2-tls", "Flamegate as shipped, HTTP/2 by TLS", HOT, 200),
            series("shipped-rbac-h2-tls", "Flamegate with the RBAC guard, HTTP/2 by TLS", HOT, 200),
        ],
    ),
];

/// True for a row of ours: the others stay as they are when the filter changes.
pub fn is_ours(id: &str) -> bool {
    const OURS: [&str; 9] = [
        "bare-",
        "headers-",
        "default-",
        "shipped-",
        "ratelimit-",
        "missing",
        "unknown",
        "random",
        "used-up",
    ];
    OURS.iter().any(|begins| id.starts_with(begins))
}

impl Series {
    /// The row that shows what the proxy needs for the same request without a check; `None` for those rows themselves.
    pub fn baseline(&self) -> Option<&'static str> {
        match (self.id, self.load) {
            ("haproxy-none", _) => None,
            (id, _) if BASELINES.iter().any(|row| row.id == id) => None,
            (id, _) if WAYS.iter().any(|way| way.none.id == id) => None,
            ("haproxy" | "safe-haproxy", _) => Some("haproxy-none"),
            (id, _) if let Some(way) = WAYS.iter().find(|way| way.has(id)) => Some(way.none.id),
            (_, Load::Missing) => Some("none-missing"),
            _ => BASELINES.iter().find(|row| row.forged == self.forged).map(|row| row.id),
        }
    }
}

impl Way {
    fn has(&self, id: &str) -> bool {
        self.shipped.iter().any(|(_, row)| row.id == id)
    }
}

/// The rows of one configuration of Flamegate, with `known` of its keys in turn.
pub fn flamegate(state: Flamegate, known: u32) -> Vec<Series> {
    let hot = Load::Hot(Kind::Ordinary);
    match state {
        Flamegate::Bare => vec![
            series("bare-hot", "Flamegate bare: accepted, one busy key", hot, 200),
            series("bare-cycle", "Flamegate bare: accepted, 1,000 keys in turn", Load::Cycle(known), 200),
            series(
                "bare-unlimited",
                "Flamegate bare: accepted, a key without limits",
                Load::Hot(Kind::Unlimited),
                200,
            ),
            series(
                "bare-exact",
                "Flamegate bare: accepted, a small limit, every request counted in shared data",
                Load::Hot(Kind::Exact),
                200,
            ),
            series("missing", "Flamegate: 401, no key", Load::Missing, 401),
            series("unknown", "Flamegate: 401, the same unknown key", Load::Unknown, 401),
            series("random", "Flamegate: 401, a new unknown key each time", Load::Random, 401),
            series("used-up", "Flamegate: 429", Load::Hot(Kind::UsedUp), 429),
        ],
        Flamegate::Headers => vec![
            forging(
                FORGED_OTHER,
                series(
                    "headers-hot",
                    "Flamegate with identity headers, authorization stripped, two client headers cleaned away",
                    hot,
                    200,
                ),
            ),
            series("headers-plain", "the same, without headers to clean away", hot, 200),
            forging(
                FORGED_ONE,
                series("headers-forged-one", "the same, one identity header forged", hot, 200),
            ),
            forging(FORGED_ALL, series("headers-forged-all", "the same, all three forged", hot, 200)),
        ],
        Flamegate::Default => vec![series(
            "default-hot",
            "Flamegate with its defaults, without a guard: identity headers, and the key id as filter state",
            hot,
            200,
        )],
        Flamegate::Shipped => {
            vec![series(
                "shipped-hot",
                "Flamegate as shipped: its defaults, and the guard behind it",
                hot,
                200,
            )]
        }
        Flamegate::ShippedRbac => vec![series(
            "shipped-rbac-hot",
            "Flamegate as shipped for Istio and Envoy Gateway: its defaults, and an RBAC filter as the guard",
            hot,
            200,
        )],
        Flamegate::RateLimit => {
            vec![series("ratelimit-hot", "Flamegate bare, with RateLimit headers on success", hot, 200)]
        }
    }
}

/// The command line of the server behind `ext_authz`, and its port. `safe`: it tells who is calling.
pub fn authz_server(grpc: bool, keys: u32, safe: bool) -> Result<(Vec<String>, u16)> {
    let port = free_port();
    let program = std::env::current_exe()?.display().to_string();
    let numbers = (port.to_string(), keys.to_string());
    let mut line =
        [&program, "authz", "--port", &numbers.0, "--keys", &numbers.1].map(str::to_owned).to_vec();
    line.extend(grpc.then(|| "--grpc".to_owned()));
    line.extend(safe.then(|| "--safe".to_owned()));
    Ok((line, port))
}

#[cfg(test)]
mod tests;
