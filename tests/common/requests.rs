//! Rows about the rest of the request: identity headers, preflights, bypass rules, gRPC.

use super::{BASE, BEARER, Bypass, Case, Denial, Expect, Gateway, KeyKind, with_live};

/// The rows of this file.
pub const ALL: &[&[Case]] = &[IDENTITY, PREFLIGHT, BYPASS, GRPC, REDIRECTED];

/// What a client that wants to be somebody else sends.
const SPOOFED: &[(&str, &[u8])] = &[
    ("x-flametalk-workspace-id", b"ws_spoofed"),
    ("x-flametalk-key-id", b"key_spoofed"),
    ("x-flametalk-key-id", b"key_spoofed_again"),
    ("x-flametalk-environment", b"spoofed"),
    ("x-flametalk-admin", b"\xff"),
    ("x-flametalk-", b"bare prefix"),
    ("x-kept", b"not ours"),
];

/// The same with every other byte that a name may have for a dash.
const SPELLED: &[(&str, &[u8])] = &[
    ("x_flametalk_workspace_id", b"ws_spoofed"),
    ("x.flametalk.key.id", b"key_spoofed"),
    ("x~flametalk~key-id", b"key_spoofed"),
    ("x-flametalk.key_id", b"key_spoofed"),
    ("x!flametalk#key$id", b"key_spoofed"),
    ("x%flametalk&key'id", b"key_spoofed"),
    ("x*flametalk+key^id", b"key_spoofed"),
    ("x`flametalk|environment", b"spoofed"),
    ("xflametalk-key-id", b"not ours"),
    ("x-flametalks-key-id", b"not ours"),
];

/// Identity headers are the gateway's alone.
const IDENTITY: &[Case] = &[
    Case { headers: SPOOFED, ..with_live("spoofed identity with a key", BEARER, Expect::Permitted) },
    Case {
        headers: &[
            ("x-flametalk-key-id", b"key_spoofed"),
            ("x-flametalk-other", b"x"),
            ("x_flametalk_key_id", b"y"),
        ],
        ..with_live("one copy of an identity header, and underscores", BEARER, Expect::Permitted)
    },
    Case {
        headers: SPELLED,
        ..with_live("identity in other spellings with a key", BEARER, Expect::Permitted)
    },
    Case {
        name: "identity in other spellings on a bypassed path",
        path: "/healthz",
        headers: SPELLED,
        expect: Expect::Bypassed(Bypass::Path),
        ..BASE
    },
    Case { name: "spoofed identity without a key", headers: SPOOFED, ..BASE },
    Case {
        name: "spoofed identity on a bypassed path",
        path: "/healthz",
        headers: SPOOFED,
        expect: Expect::Bypassed(Bypass::Path),
        ..BASE
    },
    Case {
        name: "spoofed identity on a preflight",
        method: "OPTIONS",
        headers: &[
            ("origin", b"https://app.example"),
            ("access-control-request-method", b"GET"),
            ("x-flametalk-key-id", b"key_spoofed"),
        ],
        expect: Expect::Bypassed(Bypass::Preflight),
        ..BASE
    },
    Case {
        path: "/healthz",
        ..with_live(
            "key on a bypassed path is neither checked nor passed on",
            BEARER,
            Expect::Bypassed(Bypass::Path),
        )
    },
];

const ORIGIN: (&str, &[u8]) = ("origin", b"https://app.example");
const REQUEST_METHOD: (&str, &[u8]) = ("access-control-request-method", b"POST");

/// A request with the headers of a preflight, and these.
const fn preflight(name: &'static str, headers: &'static [(&'static str, &'static [u8])]) -> Case {
    Case { name, method: "OPTIONS", headers, ..BASE }
}

/// A browser asks before it sends the key; nothing else gets through that way.
const PREFLIGHT: &[Case] = &[
    Case {
        expect: Expect::Bypassed(Bypass::Preflight),
        ..preflight(
            "preflight",
            &[ORIGIN, REQUEST_METHOD, ("access-control-request-headers", b"authorization")],
        )
    },
    preflight("options", &[]),
    preflight("options without origin", &[REQUEST_METHOD]),
    preflight("options without requested method", &[ORIGIN]),
    preflight("empty origin", &[("origin", b""), REQUEST_METHOD]),
    preflight("empty requested method", &[ORIGIN, ("access-control-request-method", b"")]),
    preflight("two origins", &[ORIGIN, ("origin", b"https://b.example"), REQUEST_METHOD]),
    preflight("the same origin twice", &[ORIGIN, ORIGIN, REQUEST_METHOD]),
    preflight("two requested methods", &[ORIGIN, REQUEST_METHOD, REQUEST_METHOD]),
    preflight("origins in one line", &[("origin", b"https://a.example, https://b.example"), REQUEST_METHOD]),
    preflight("origins with a blank", &[("origin", b"https://a.example https://b.example"), REQUEST_METHOD]),
    preflight("requested methods in one line", &[ORIGIN, ("access-control-request-method", b"GET,POST")]),
    Case {
        // Envoy joins the lines before any filter sees them, and leaves empty ones out.
        expect_envoy: Some(Expect::Bypassed(Bypass::Preflight)),
        ..preflight("an empty origin beside a good one", &[ORIGIN, ("origin", b""), REQUEST_METHOD])
    },
    Case {
        name: "another method with a preflight's headers",
        method: "GET",
        headers: &[ORIGIN, REQUEST_METHOD],
        ..BASE
    },
    Case {
        body: Some(b"body"),
        expect: Expect::Denied(Denial::PreflightBody),
        ..preflight("preflight with a body", &[ORIGIN, REQUEST_METHOD])
    },
    Case {
        body: Some(b""),
        expect: Expect::Denied(Denial::PreflightBody),
        ..preflight("preflight with an empty body", &[ORIGIN, REQUEST_METHOD])
    },
    Case { body: Some(b"body"), ..preflight("options with a body", &[ORIGIN]) },
    Case {
        path: "/healthz",
        body: Some(b"body"),
        expect: Expect::Bypassed(Bypass::Path),
        ..preflight("preflight with a body on a bypassed path", &[ORIGIN, REQUEST_METHOD])
    },
];

/// A request with no key to a path that a rule matches.
const fn open(name: &'static str, method: &'static str, path: &'static str) -> Case {
    Case { name, method, path, expect: Expect::Bypassed(Bypass::Path), ..BASE }
}

/// A request with no key to a path that only looks like one.
const fn closed(name: &'static str, method: &'static str, path: &'static str) -> Case {
    Case { name, method, path, ..BASE }
}

/// A path that the filter alone refuses, and that Envoy has normalised into an open one before the filter sees it.
const fn normalised(name: &'static str, path: &'static str) -> Case {
    Case { expect_envoy: Some(Expect::Bypassed(Bypass::Path)), ..closed(name, "GET", path) }
}

/// A path that the filter refuses, and that Envoy answers itself.
const fn bad(name: &'static str, path: &'static str) -> Case {
    Case { expect_envoy: Some(Expect::BadRequest), ..closed(name, "GET", path) }
}

/// Bypass rules: exact or prefix, by method, on the path without its query, and only on plain paths.
const BYPASS: &[Case] = &[
    open("exact path", "GET", "/healthz"),
    open("exact path, any method", "POST", "/healthz"),
    open("exact path with a query", "GET", "/healthz?probe=1"),
    open("exact path with an empty query", "GET", "/healthz?"),
    open("dot segments in the query only", "GET", "/healthz?next=/../v1//x%2f"),
    open("prefix itself", "GET", "/public/"),
    open("below a prefix", "GET", "/public/css/site.css"),
    open("below a prefix with a query", "GET", "/public/a?b=c"),
    open("dots that are no dot segment", "GET", "/public/a../b..c/.d"),
    open("well-known", "GET", "/public/.well-known/x"),
    closed("below a prefix, another method", "POST", "/public/css/site.css"),
    closed("below a prefix, head", "HEAD", "/public/a"),
    closed("prefix without its slash", "GET", "/public"),
    closed("longer than the exact path", "GET", "/healthz2"),
    closed("below the exact path", "GET", "/healthz/"),
    closed("another case", "GET", "/Healthz"),
    closed("exact path in the query", "GET", "/v1/agents?path=/healthz"),
    closed("parameter on the exact path", "GET", "/healthz;v=1"),
    closed("dot segments out of the exact path", "GET", "/healthz/../v1/agents"),
    closed("dot segments out of a prefix", "GET", "/public/../v1/agents"),
    closed("dot segment at the end", "GET", "/public/.."),
    closed("encoded dot segments", "GET", "/public/%2e%2e/v1/agents"),
    closed("half encoded dot segments", "GET", "/public/.%2E/v1/agents"),
    closed("dots and an encoded question mark", "GET", "/public/..%3f/v1/agents"),
    closed("dots and an encoded hash", "GET", "/public/..%23/v1/agents"),
    closed("dots and an encoded blank", "GET", "/public/..%20/v1/agents"),
    closed("dots and an encoded tab", "GET", "/public/..%09/v1/agents"),
    closed("dots and a plus", "GET", "/public/..+/v1/agents"),
    closed("a plus and dots", "GET", "/public/+../v1/agents"),
    closed("dots and a parameter", "GET", "/public/..;x/v1/agents"),
    closed("three dots", "GET", "/public/.../v1/agents"),
    closed("encoded question mark", "GET", "/public/a%3Fb"),
    closed("encoded hash", "GET", "/public/a%23b"),
    closed("encoded blank", "GET", "/public/a%20b"),
    closed("encoded colon", "GET", "/public/a%3a%3a$DATA"),
    normalised("empty segment before", "//healthz"),
    normalised("empty segment inside", "/public//a"),
    normalised("empty segments at the end", "/public/a//"),
    closed("dot segments behind an empty one", "GET", "/public//../../v1/agents"),
    bad("encoded slash", "/public/..%2fv1%2Fagents"),
    bad("encoded slash in a name", "/public/a%2Fb"),
    bad("encoded backslash", "/public/..%5cv1%5Cagents"),
    closed("backslashes out of a prefix", "GET", "/public/..\\v1\\agents"),
    normalised("single dot segment", "/public/./a"),
    normalised("dot segments back to the exact path", "/v1/../healthz"),
    normalised("backslash inside a prefix", "/public/a\\b"),
];

const GRPC_TYPE: (&str, &[u8]) = ("content-type", b"application/grpc");
const GRPC_HEADERS: &[(&str, &[u8])] = &[GRPC_TYPE, ("te", b"trailers")];

/// A gRPC call with these `authorization` lines.
const fn grpc(
    name: &'static str,
    key: KeyKind,
    authorization: &'static [&'static [u8]],
    expect: Expect,
) -> Case {
    Case {
        name,
        method: "POST",
        path: "/flametalk.v1.Agents/List",
        headers: GRPC_HEADERS,
        key,
        authorization,
        expect,
        ..BASE
    }
}

/// gRPC clients get the same verdicts as a `grpc-status`.
const GRPC: &[Case] = &[
    grpc("grpc with a key", KeyKind::Live, BEARER, Expect::Permitted),
    grpc("grpc without a key", KeyKind::None, &[], Expect::Denied(Denial::Missing)),
    grpc("grpc with a key that nobody made", KeyKind::Unknown, BEARER, Expect::Denied(Denial::Unknown)),
    grpc("grpc over the key's limit", KeyKind::KeyLimitReached, BEARER, Expect::Denied(Denial::KeyLimit)),
    Case {
        gateway: Gateway::Unsynced,
        ..grpc("grpc before the first table", KeyKind::Live, BEARER, Expect::Denied(Denial::NotSynced))
    },
    Case {
        headers: &[("content-type", b"application/grpc+proto"), ("te", b"trailers")],
        ..grpc("grpc with a named codec", KeyKind::None, &[], Expect::Denied(Denial::Missing))
    },
    Case {
        name: "grpc-web is plain http to us",
        method: "POST",
        headers: &[("content-type", b"application/grpc-web+proto")],
        ..BASE
    },
];

/// What Envoy says about a request that it has redirected, said by a client.
const CLAIM: &[(&str, &[u8])] = &[("x-envoy-original-url", b"http://gateway.test/v1/a")];

/// A client that claims to be redirected is a client like any other.
const REDIRECTED: &[Case] = &[
    Case {
        name: "a claim to be redirected, without a key",
        headers: CLAIM,
        expect: Expect::Denied(Denial::Redirected),
        // Envoy removes the claim of a client that is not internal.
        expect_envoy: Some(Expect::Denied(Denial::Missing)),
        ..BASE
    },
    Case {
        name: "a claim to be redirected, over the key's limit",
        headers: CLAIM,
        key: KeyKind::KeyLimitReached,
        authorization: BEARER,
        expect: Expect::Denied(Denial::KeyLimit),
        ..BASE
    },
];
