//! Rows about what a key may be used for.

use super::{BASE, BEARER, Case, Denial, Expect, KeyKind};

/// The rows of this file.
pub const ALL: &[&[Case]] = &[RESTRICTED];

/// A request with a key that may read agents, from the address that the tests come from.
const fn with(name: &'static str, method: &'static str, path: &'static str, expect: Expect) -> Case {
    Case { name, method, path, key: KeyKind::Restricted, authorization: BEARER, expect, ..BASE }
}

const fn forbidden(name: &'static str, path: &'static str) -> Case {
    with(name, "GET", path, Expect::Denied(Denial::Path))
}

/// A path that the filter alone refuses, and that Envoy has normalised before the filter sees it.
const fn normalised(name: &'static str, path: &'static str) -> Case {
    Case { expect_envoy: Some(Expect::Permitted), ..forbidden(name, path) }
}

/// Methods, paths and addresses, all of which must match.
const RESTRICTED: &[Case] = &[
    with("restricted, the exact path", "GET", "/v1/agents", Expect::Permitted),
    with("restricted, another method of the list", "HEAD", "/v1/agents", Expect::Permitted),
    with(
        "restricted, below the path with a query",
        "GET",
        "/v1/agents/7/calls?next=/../x",
        Expect::Permitted,
    ),
    with("restricted, another method", "POST", "/v1/agents", Expect::Denied(Denial::Method)),
    Case {
        headers: &[("x-http-method-override", b"GET")],
        ..with(
            "restricted, a method that is to be overridden",
            "DELETE",
            "/v1/agents",
            Expect::Denied(Denial::Method),
        )
    },
    Case {
        name: "restricted, an open path needs no key",
        method: "POST",
        path: "/healthz",
        expect: Expect::Bypassed(super::Bypass::Path),
        ..with("", "", "", Expect::Permitted)
    },
    forbidden("restricted, another path", "/v1/calls"),
    forbidden("restricted, the path's beginning", "/v1/agentsx"),
    forbidden("restricted, above the path", "/v1"),
    forbidden("restricted, in other letters", "/v1/Agents"),
    forbidden("restricted, the path in the query", "/v1/calls?/v1/agents"),
    forbidden("restricted, dot segments out of the path", "/v1/agents/../calls"),
    forbidden("restricted, encoded dot segments", "/v1/agents/%2e%2e/calls"),
    forbidden("restricted, dots and a parameter", "/v1/agents/..;/calls"),
    forbidden("restricted, an encoded question mark", "/v1/agents/a%3fb"),
    normalised("restricted, an encoded letter of the path", "/v1/%61gents"),
    normalised("restricted, an empty segment", "/v1/agents//7"),
    normalised("restricted, dot segments back to the path", "/v1/x/../agents"),
    Case {
        expect_envoy: Some(Expect::BadRequest),
        ..forbidden("restricted, an encoded slash", "/v1/agents/..%2fcalls")
    },
    Case {
        name: "restricted, from another address",
        key: KeyKind::Elsewhere,
        authorization: BEARER,
        expect: Expect::Denied(Denial::Address),
        ..BASE
    },
    Case {
        name: "restricted, grpc",
        method: "POST",
        path: "/flametalk.v1.Agents/List",
        headers: &[("content-type", b"application/grpc"), ("te", b"trailers")],
        ..with("", "", "", Expect::Denied(Denial::Method))
    },
];
