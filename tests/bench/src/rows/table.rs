//! All rows, in the order in which they are measured and stand in the tables: the proxies alone first, and those of one setup together,
//! because they are measured on one process.

use super::{Rig, Series, Way};
use crate::{
    envoy::{Flamegate, Guard},
    keys::Kind,
    load::Load,
};

/// All with one busy key.
const HOT: Load = Load::Hot(Kind::Ordinary);
/// One identity header: the filter overwrites it.
const FORGED_ONE: &str = "x-flametalk-key-id: key_forged\r\n";
/// All of them.
const FORGED_ALL: &str = "x-flametalk-workspace-id: ws_forged\r\nx-flametalk-key-id: key_forged\r\nx-flametalk-environment: live\r\n";
/// One, and one of another name, which the filter removes.
const FORGED_OTHER: &str = "x-flametalk-workspace-id: ws_spoofed\r\nx-flametalk-role: admin\r\n";

const fn row(id: &'static str, rig: Rig, what: &'static str) -> Series {
    Series { id, what, short: id, rig, load: HOT, forged: "", status: 200, compared: false }
}

impl Series {
    const fn forging(self, forged: &'static str) -> Self {
        Self { forged, ..self }
    }

    const fn sends(self, load: Load, status: u16) -> Self {
        Self { load, status, ..self }
    }

    /// Stands in the comparison, under this name in its chart.
    const fn compared(self, short: &'static str) -> Self {
        Self { short, compared: true, ..self }
    }

    const fn short(self, short: &'static str) -> Self {
        Self { short, ..self }
    }
}

const NONE: Rig = Rig::Envoy(Way::Clear);
const BARE: Rig = ours(Flamegate::Bare);
const HEADERS: Rig = ours(Flamegate::Headers);

const fn ours(state: Flamegate) -> Rig {
    Rig::Flamegate(state, Way::Clear)
}

const fn shipped(way: Way) -> Rig {
    Rig::Flamegate(Flamegate::Shipped, way)
}

const fn by_rbac(way: Way) -> Rig {
    Rig::Flamegate(Flamegate::ShippedRbac, way)
}

/// All of them.
pub const ROWS: [Series; 61] = [
    // What the proxies alone need, by each way.
    row("none", NONE, "no filter"),
    row("none-forged-one", NONE, "no filter, one more request header").forging(FORGED_ONE),
    row("none-spoofed", NONE, "no filter, two more request headers").forging(FORGED_OTHER),
    row("none-forged-all", NONE, "no filter, three more request headers").forging(FORGED_ALL),
    row("none-missing", NONE, "no filter, request without a key").sends(Load::Missing, 200),
    row("none-header", NONE, "no filter, the key in x-api-key").sends(Load::Header, 200),
    row("none-upstream", Rig::Envoy(Way::Upstream), "no filter, to an upstream"),
    row("none-tls", Rig::Envoy(Way::Tls), "no filter, HTTP/1.1 by TLS"),
    row("none-h2", Rig::Envoy(Way::Http2), "no filter, HTTP/2 in clear"),
    row("none-h2-tls", Rig::Envoy(Way::Http2Tls), "no filter, HTTP/2 by TLS"),
    row("haproxy-none", Rig::HaproxyAlone, "HAProxy without a check"),
    row("guard-alone", Rig::Guard(Guard::Matcher), "the guard alone, without the filter: 403")
        .sends(HOT, 403),
    row("guard-rbac-alone", Rig::Guard(Guard::Rbac), "the RBAC guard alone, without the filter: 403")
        .sends(HOT, 403),
    row("empty-filter", Rig::Empty, "proxy-wasm filter that does nothing")
        .compared("empty proxy-wasm filter"),
    // What others need for the same job.
    row(
        "api-key-auth",
        Rig::ApiKeyAuth { limited: false, safe: false },
        "native api_key_auth (plaintext keys, no limit)",
    )
    .compared("native api_key_auth"),
    row(
        "api-key-auth-limit",
        Rig::ApiKeyAuth { limited: true, safe: false },
        "native api_key_auth + local_ratelimit (one limit for all keys)",
    )
    .compared("native api_key_auth + local_ratelimit"),
    row("lua", Rig::Lua { safe: false }, "Lua doing the same job (limits per worker)")
        .compared("Lua, the same job"),
    row(
        "ext-authz-http",
        Rig::ExtAuthz { grpc: false, safe: false },
        "ext_authz over HTTP, with a Rust server",
    )
    .compared("ext_authz HTTP, both sides"),
    row(
        "ext-authz-grpc",
        Rig::ExtAuthz { grpc: true, safe: false },
        "ext_authz over gRPC, with a Rust server",
    )
    .compared("ext_authz gRPC, both sides"),
    row("haproxy", Rig::Haproxy { safe: false }, "HAProxy doing the same job (sha2, map, stick table)")
        .compared("HAProxy, the same job"),
    // The same with what makes them safe behind a gateway, as Flamegate is as shipped: the upstream is told who is calling, cannot be
    // told so by a client, and does not see the key.
    row(
        "safe-api-key-auth",
        Rig::ApiKeyAuth { limited: true, safe: true },
        "native api_key_auth + local_ratelimit, the key's name passed on, the key hidden",
    )
    .compared("the same, with the identity"),
    row("safe-lua", Rig::Lua { safe: true }, "Lua doing the same job, identity passed on, the key removed")
        .compared("Lua, with the identity"),
    row(
        "safe-ext-authz-http",
        Rig::ExtAuthz { grpc: false, safe: true },
        "ext_authz over HTTP, identity passed on, the key removed",
    )
    .compared("ext_authz HTTP, with the identity"),
    row(
        "safe-ext-authz-grpc",
        Rig::ExtAuthz { grpc: true, safe: true },
        "ext_authz over gRPC, identity passed on, the key removed",
    )
    .compared("ext_authz gRPC, with the identity"),
    row(
        "safe-haproxy",
        Rig::Haproxy { safe: true },
        "HAProxy doing the same job, the key's id passed on, the key removed",
    )
    .compared("HAProxy, with the identity"),
    // One limit for several gateways, without a look at the key.
    row(
        "local-share",
        Rig::LocalShare,
        "Envoy `local_ratelimit`, a third of the limit (`local_cluster_rate_limit`)",
    ),
    row(
        "rate-limit-redis",
        Rig::RateLimit { cached: false },
        "Envoy `ratelimit` and a service over limitador with Redis, both sides",
    ),
    row(
        "rate-limit-cached",
        Rig::RateLimit { cached: true },
        "Envoy `ratelimit` and a service over limitador with cached Redis, both sides",
    ),
    // Flamegate, one state after the other.
    row("bare-hot", BARE, "Flamegate bare: accepted, one busy key").compared("Flamegate bare"),
    row("bare-unlimited", BARE, "Flamegate bare: accepted, a key without limits")
        .sends(Load::Hot(Kind::Unlimited), 200),
    row("bare-restricted", BARE, "Flamegate bare: accepted, a key for two methods and three paths")
        .sends(Load::Hot(Kind::Restricted), 200),
    row("bare-cycle", BARE, "Flamegate bare: accepted, 1,000 keys in turn").sends(Load::Cycle(1_000), 200),
    row("bare-exact", BARE, "Flamegate bare: accepted, a small limit, every request counted in shared data")
        .sends(Load::Hot(Kind::Exact), 200),
    row("missing", BARE, "Flamegate: 401, no key")
        .sends(Load::Missing, 401)
        .compared("Flamegate 401, no key"),
    row("unknown", BARE, "Flamegate: 401, the same unknown key").sends(Load::Unknown, 401),
    row("random", BARE, "Flamegate: 401, a new unknown key each time")
        .sends(Load::Random, 401)
        .compared("Flamegate 401, unknown key"),
    row("used-up", BARE, "Flamegate: 429").sends(Load::Hot(Kind::UsedUp), 429).compared("Flamegate 429"),
    row("bare-scattered", BARE, "Flamegate bare, all keys of the table in turn: cache misses")
        .sends(Load::Scattered(0), 200)
        .short("Flamegate bare, cache misses"),
    row(
        "headers-hot",
        HEADERS,
        "Flamegate with identity headers, authorization stripped, two client headers cleaned away",
    )
    .forging(FORGED_OTHER)
    .compared("Flamegate, headers and cleaning"),
    row("headers-plain", HEADERS, "the same, without headers to clean away"),
    row("headers-forged-one", HEADERS, "the same, one identity header forged").forging(FORGED_ONE),
    row("headers-forged-all", HEADERS, "the same, all three forged").forging(FORGED_ALL),
    row(
        "default-hot",
        ours(Flamegate::Default),
        "Flamegate with its defaults, without a guard: identity headers, and the key id as filter state",
    )
    .compared("Flamegate, defaults"),
    row("shipped-hot", shipped(Way::Clear), "Flamegate as shipped: its defaults, and the guard behind it")
        .compared("Flamegate as shipped, guarded"),
    row(
        "shipped-rbac-hot",
        by_rbac(Way::Clear),
        "Flamegate as shipped for Istio and Envoy Gateway: its defaults, and an RBAC filter as the guard",
    )
    .compared("Flamegate, guarded by RBAC"),
    row("ratelimit-hot", ours(Flamegate::RateLimit), "Flamegate bare, with RateLimit headers on success")
        .short("Flamegate, RateLimit headers"),
    // One limit of one key, counted in both ways, with a control plane that lends.
    row("gateway-limit-hot", Rig::Fleet, "Flamegate bare, a limit of 600,000 a minute of each gateway")
        .sends(Load::Hot(Kind::Gateway), 200)
        .short("Flamegate, a gateway's limit"),
    row("fleet-limit-hot", Rig::Fleet, "the same limit of all gateways together")
        .sends(Load::Hot(Kind::Fleet), 200)
        .short("Flamegate, a fleet limit"),
    // What options cost.
    row("stripped-hot", ours(Flamegate::Stripped), "Flamegate bare, and authorization is removed"),
    row("header-hot", ours(Flamegate::HeaderSource), "the same, with the key in x-api-key")
        .sends(Load::Header, 200),
    row(
        "shipped-header-hot",
        ours(Flamegate::ShippedHeader),
        "Flamegate as shipped, with the key in x-api-key",
    )
    .sends(Load::Header, 200),
    row(
        "route-hot",
        ours(Flamegate::RouteSettings),
        "Flamegate bare, on a route that says cost and environments (route_settings)",
    ),
    row("route-silent", ours(Flamegate::RouteSilent), "the same, on a route that says nothing"),
    // By other ways, as shipped and with the other guard.
    row("shipped-upstream", shipped(Way::Upstream), "Flamegate as shipped, to an upstream"),
    row("shipped-rbac-upstream", by_rbac(Way::Upstream), "Flamegate with the RBAC guard, to an upstream"),
    row("shipped-tls", shipped(Way::Tls), "Flamegate as shipped, HTTP/1.1 by TLS"),
    row("shipped-rbac-tls", by_rbac(Way::Tls), "Flamegate with the RBAC guard, HTTP/1.1 by TLS"),
    row("shipped-h2", shipped(Way::Http2), "Flamegate as shipped, HTTP/2 in clear"),
    row("shipped-rbac-h2", by_rbac(Way::Http2), "Flamegate with the RBAC guard, HTTP/2 in clear"),
    row("shipped-h2-tls", shipped(Way::Http2Tls), "Flamegate as shipped, HTTP/2 by TLS"),
    row("shipped-rbac-h2-tls", by_rbac(Way::Http2Tls), "Flamegate with the RBAC guard, HTTP/2 by TLS"),
];
