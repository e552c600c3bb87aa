//! Rows about keys that stand elsewhere than in `authorization`: [`Gateway::Sources`], which looks in six places.

use super::{BASE, BEARER, Bypass, Case, Denial, Expect, Gateway, KeyKind, UNKNOWN_KEY};

/// The rows of this file.
pub const ALL: &[&[Case]] = &[ACCEPTED, REFUSED, OPEN];

/// The places of [`Gateway::Sources`], as in the plugin configuration.
pub const KEY_SOURCES_JSON: &str = r#"[{"bearer":"authorization"},{"header":"x-api-key"},{"basic":"username"},{"query":"api_key"},{"cookie":"flametalk_key"},{"websocket_protocol":"flametalk.key."}]"#;

type Lines = &'static [(&'static str, &'static [u8])];
/// What reaches the upstream of some headers, and of `:path`.
type Arrives = &'static [(&'static str, Option<&'static str>)];

/// A request with a live key in it that passes, and of which this is left.
const fn accepted(name: &'static str, path: &'static str, headers: Lines, arrives: Arrives) -> Case {
    let arrives = Some(arrives);
    Case {
        name,
        path,
        headers,
        arrives,
        gateway: Gateway::Sources,
        key: KeyKind::Live,
        expect: Expect::Permitted,
        ..BASE
    }
}

const fn refused(name: &'static str, path: &'static str, headers: Lines, denial: Denial) -> Case {
    let (gateway, key) = (Gateway::Sources, KeyKind::Live);
    Case { name, path, headers, gateway, key, expect: Expect::Denied(denial), ..BASE }
}

const PLAIN: &str = "/v1/agents";
const KEY: (&str, &[u8]) = ("x-api-key", b"{key}");

const ACCEPTED: &[Case] = &[
    accepted("key in x-api-key", PLAIN, &[KEY], &[("x-api-key", None), (":path", Some(PLAIN))]),
    accepted("blanks around a key in a header", PLAIN, &[("x-api-key", b" {key}\t")], &[("x-api-key", None)]),
    Case {
        authorization: BEARER,
        ..accepted("bearer among several places", "/v1/agents?a=b", &[], &[(":path", Some("/v1/agents?a=b"))])
    },
    Case {
        authorization: &[b"Basic {basic}"],
        ..accepted("key as the user name", PLAIN, &[], &[("authorization", None)])
    },
    accepted(
        "live key in the query",
        "/v1/agents?a=b&api_key={key}&c=%20+d",
        &[],
        &[(":path", Some("/v1/agents?a=b&c=%20+d"))],
    ),
    accepted("query of a key alone", "/v1/agents?api_key={key}", &[], &[(":path", Some(PLAIN))]),
    accepted("encoded name in the query", "/v1/agents?api%5Fkey={key}", &[], &[(":path", Some(PLAIN))]),
    accepted(
        "live key in a cookie",
        PLAIN,
        &[("cookie", b"theme=dark; flametalk_key={key}; a=b")],
        &[("cookie", Some("theme=dark; a=b"))],
    ),
    accepted("cookie of a key alone", PLAIN, &[("cookie", b"flametalk_key={key}")], &[("cookie", None)]),
    accepted(
        "key in the last of several cookie lines",
        PLAIN,
        &[("cookie", b"theme=dark"), ("cookie", b"flametalk_key={key}"), ("cookie", b"a=b")],
        &[("cookie", Some("theme=dark; a=b"))],
    ),
    accepted(
        "key among offered protocols",
        PLAIN,
        &[("sec-websocket-protocol", b"flametalk.v1, flametalk.key.{key}")],
        &[("sec-websocket-protocol", Some("flametalk.v1"))],
    ),
    Case {
        authorization: BEARER,
        ..accepted(
            "the same key in several places",
            "/v1/agents?api_key={key}",
            &[KEY, ("cookie", b"flametalk_key={key}")],
            &[("x-api-key", None), ("cookie", None), (":path", Some(PLAIN))],
        )
    },
    Case {
        authorization: &[b"Digest username=a"],
        ..accepted("another scheme beside a key", PLAIN, &[KEY], &[("x-api-key", None)])
    },
];

const REFUSED: &[Case] = &[
    refused("no key in any place", "/v1/agents?a=b", &[("cookie", b"theme=dark")], Denial::Missing),
    refused("name in another case", "/v1/agents?API_KEY={key}", &[], Denial::Missing),
    refused("place with nothing in it", "/v1/agents?api_key=", &[], Denial::Empty),
    refused("key twice in one header", PLAIN, &[KEY, KEY], Denial::Repeated),
    refused("key twice in the query", "/v1/agents?api_key={key}&api%5fkey={key}", &[], Denial::Repeated),
    refused("scheme in a header without one", PLAIN, &[("x-api-key", b"Bearer {key}")], Denial::Malformed),
    refused("key that nobody made in the query", UNKNOWN_IN_QUERY, &[], Denial::Unknown),
    Case {
        authorization: BEARER,
        ..refused("two different keys", PLAIN, &[("x-api-key", UNKNOWN_KEY.as_bytes())], Denial::Repeated)
    },
    refused(
        "two different keys, the good one last",
        "/v1/agents?api_key={key}",
        &[("cookie", OTHER_COOKIE)],
        Denial::Repeated,
    ),
    Case {
        authorization: &[b"Basic {key}"],
        ..refused("user name that is not encoded", PLAIN, &[], Denial::Scheme)
    },
    Case {
        key: KeyKind::KeyLimitReached,
        ..refused("limit of a key in the query", "/v1/agents?api_key={key}", &[], Denial::KeyLimit)
    },
    Case { key: KeyKind::Revoked, ..refused("revoked key in a header", PLAIN, &[KEY], Denial::Unknown) },
    Case {
        method: "OPTIONS",
        ..refused(
            "preflight with a key in a header",
            PLAIN,
            &[("origin", b"https://app.example"), ("access-control-request-method", b"GET"), NOBODY],
            Denial::Unknown,
        )
    },
];

const NOBODY: (&str, &[u8]) = ("x-api-key", UNKNOWN_KEY.as_bytes());
/// Not [`KeyKind::Unknown`], which stands for itself alone.
const UNKNOWN_IN_QUERY: &str = "/v1/agents?api_key=sk_live_0000000000000000000000000000000000001a";
const OTHER_COOKIE: &[u8] = b"flametalk_key=sk_live_0000000000000000000000000000000000001a";

/// What needs no key loses it all the same.
const OPEN: &[Case] = &[
    Case {
        expect: Expect::Bypassed(Bypass::Path),
        ..accepted(
            "key in the query of a bypassed path",
            "/healthz?api_key={key}",
            &[KEY],
            &[("x-api-key", None), (":path", Some("/healthz"))],
        )
    },
    Case {
        method: "OPTIONS",
        expect: Expect::Bypassed(Bypass::Preflight),
        ..accepted(
            "preflight of an address with a key",
            "/v1/agents?api_key={key}",
            &[("origin", b"https://app.example"), ("access-control-request-method", b"GET")],
            &[(":path", Some(PLAIN))],
        )
    },
];
