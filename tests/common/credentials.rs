//! Rows about the `authorization` header, the key in it, and the state that key and gateway are in.

use super::{BASE, BEARER, Bypass, Case, Denial, Expect, Gateway, KeyKind, UNKNOWN_KEY, with_live};

/// The rows of this file.
pub const ALL: &[&[Case]] = &[ACCEPTED, NO_TOKEN, NOT_A_KEY, STATES];

/// A request with one `authorization` line and no key of ours in it.
const fn raw(name: &'static str, authorization: &'static [&'static [u8]], denial: Denial) -> Case {
    Case { name, authorization, expect: Expect::Denied(denial), ..BASE }
}

/// A good key, in every spelling that RFC 9110 allows.
const ACCEPTED: &[Case] = &[
    with_live("live key", BEARER, Expect::Permitted),
    Case { key: KeyKind::Test, ..with_live("test key", BEARER, Expect::Permitted) },
    with_live("scheme in lower case", &[b"bearer {key}"], Expect::Permitted),
    with_live("scheme in upper case", &[b"BEARER {key}"], Expect::Permitted),
    with_live("scheme in mixed case", &[b"bEaReR {key}"], Expect::Permitted),
    with_live("several spaces before the token", &[b"Bearer    {key}"], Expect::Permitted),
    with_live("tab before the token", &[b"Bearer\t{key}"], Expect::Permitted),
    with_live("blanks around the value", &[b" \t Bearer {key} \t "], Expect::Permitted),
    Case { method: "POST", ..with_live("post", BEARER, Expect::Permitted) },
    Case {
        method: "DELETE",
        path: "/v1/agents/7?force=1",
        ..with_live("delete with query", BEARER, Expect::Permitted)
    },
    Case {
        path: "/healthzz",
        ..with_live("path that only starts like a bypass rule", BEARER, Expect::Permitted)
    },
    Case {
        headers: &[("x-note", b"caf\xe9 \xff")],
        ..with_live("bytes that are not UTF-8 elsewhere", BEARER, Expect::Permitted)
    },
    Case {
        headers: &[("x-long", LONG_VALUE)],
        ..with_live("60 kB header beside the key", BEARER, Expect::Permitted)
    },
];

/// No bearer token can be taken from these.
const NO_TOKEN: &[Case] = &[
    Case { name: "no header", ..BASE },
    Case { name: "key in another header", headers: &[("x-api-key", UNKNOWN_KEY.as_bytes())], ..BASE },
    Case {
        name: "key in proxy-authorization",
        headers: &[("proxy-authorization", b"Bearer sk_live_x")],
        ..BASE
    },
    Case { name: "key in a cookie", headers: &[("cookie", b"authorization=Bearer sk_live_x")], ..BASE },
    Case {
        name: "key in the query",
        path: "/v1/agents?api_key=sk_live_x&authorization=Bearer%20sk_live_x",
        ..BASE
    },
    raw("basic scheme", &[b"Basic dXNlcjpwYXNzd29yZA=="], Denial::Scheme),
    raw("empty value", &[b""], Denial::Scheme),
    raw("only blanks", &[b" \t "], Denial::Scheme),
    raw("scheme alone", &[b"Bearer"], Denial::Empty),
    raw("scheme and a space", &[b"Bearer "], Denial::Empty),
    raw("scheme and blanks", &[b"Bearer \t  "], Denial::Empty),
    raw("byte of no character set in the scheme", &[b"\xffearer sk_live_x"], Denial::Scheme),
    raw("byte of no character set alone", &[b"\xff"], Denial::Scheme),
    raw("comma in the token", &[b"Bearer sk_live_a,b"], Denial::Repeated),
    with_live("key without scheme", &[b"{key}"], Expect::Denied(Denial::Scheme)),
    with_live("no space after the scheme", &[b"Bearer{key}"], Expect::Denied(Denial::Scheme)),
    with_live("colon after the scheme", &[b"Bearer: {key}"], Expect::Denied(Denial::Scheme)),
    with_live(
        "non-breaking space after the scheme",
        &[b"Bearer\xc2\xa0{key}"],
        Expect::Denied(Denial::Scheme),
    ),
    with_live("another scheme around a good key", &[b"Token {key}"], Expect::Denied(Denial::Scheme)),
    with_live("same key twice", &[b"Bearer {key}", b"Bearer {key}"], Expect::Denied(Denial::Repeated)),
    with_live(
        "good key first, then another",
        &[b"Bearer {key}", b"Bearer sk_live_x"],
        Expect::Denied(Denial::Repeated),
    ),
    with_live(
        "good key after another scheme",
        &[b"Basic eDp5", b"Bearer {key}"],
        Expect::Denied(Denial::Repeated),
    ),
    Case {
        // Envoy joins the lines before any filter sees them, and leaves empty ones out.
        expect_envoy: Some(Expect::Permitted),
        ..with_live(
            "empty lines around a good one",
            &[b"", b"Bearer {key}", b""],
            Expect::Denied(Denial::Repeated),
        )
    },
    with_live("joined with a comma", &[b"Bearer {key}, Bearer {key}"], Expect::Denied(Denial::Repeated)),
    with_live("comma after the key", &[b"Bearer {key},"], Expect::Denied(Denial::Repeated)),
    with_live("comma before the scheme", &[b",Bearer {key}"], Expect::Denied(Denial::Repeated)),
];

/// A bearer token, and no key of ours: one answer for all.
const NOT_A_KEY: &[Case] = &[
    raw("another product's prefix", &[b"Bearer pk_live_0123456789abcdef"], Denial::Malformed),
    raw("another environment's name", &[b"Bearer sk_prod_0123456789abcdef"], Denial::Malformed),
    raw("prefix in upper case", &[b"Bearer SK_LIVE_0123456789abcdef"], Denial::Malformed),
    raw("prefix without a secret", &[b"Bearer sk_live_"], Denial::Malformed),
    raw("half a prefix", &[b"Bearer sk_"], Denial::Malformed),
    raw("byte of no character set as token", &[b"Bearer \xff"], Denial::Malformed),
    raw("byte of no character set in the secret", &[b"Bearer sk_live_\xff\xfe\x80"], Denial::Malformed),
    raw("60 kB token", &[LONG_TOKEN], Denial::Malformed),
    raw("longest token that is looked up", &[LONGEST_KEY], Denial::Unknown),
    raw("one byte longer", &[TOO_LONG_KEY], Denial::Malformed),
    with_live("inner space", &[b"Bearer {key} {key}"], Expect::Denied(Denial::Malformed)),
    with_live("scheme twice", &[b"Bearer Bearer {key}"], Expect::Denied(Denial::Malformed)),
    with_live("quotes", &[b"Bearer \"{key}\""], Expect::Denied(Denial::Malformed)),
    with_live(
        "byte of no character set after a good key",
        &[b"Bearer {key}\xff"],
        Expect::Denied(Denial::Malformed),
    ),
    with_live("one character too many", &[b"Bearer {key}0"], Expect::Denied(Denial::Unknown)),
    Case {
        key: KeyKind::Unknown,
        ..with_live("key that nobody made", BEARER, Expect::Denied(Denial::Unknown))
    },
];

/// The states of a key and of the gateway.
const STATES: &[Case] = &[
    Case { key: KeyKind::Expired, ..with_live("expired key", BEARER, Expect::Denied(Denial::Expired)) },
    Case { key: KeyKind::Revoked, ..with_live("revoked key", BEARER, Expect::Denied(Denial::Unknown)) },
    Case {
        key: KeyKind::KeyLimitReached,
        ..with_live("limit of the key", BEARER, Expect::Denied(Denial::KeyLimit))
    },
    Case {
        key: KeyKind::WorkspaceLimitReached,
        ..with_live("limit of the workspace", BEARER, Expect::Denied(Denial::WorkspaceLimit))
    },
    Case {
        gateway: Gateway::LiveOnly,
        ..with_live("live key where live is accepted", BEARER, Expect::Permitted)
    },
    Case {
        gateway: Gateway::LiveOnly,
        key: KeyKind::Test,
        ..with_live("test key where only live is accepted", BEARER, Expect::Denied(Denial::Environment))
    },
    Case {
        gateway: Gateway::Unsynced,
        ..with_live("good key before the first table", BEARER, Expect::Denied(Denial::NotSynced))
    },
    Case { name: "no key before the first table", gateway: Gateway::Unsynced, ..BASE },
    Case {
        name: "bypass before the first table",
        gateway: Gateway::Unsynced,
        path: "/healthz",
        expect: Expect::Bypassed(Bypass::Path),
        ..BASE
    },
];

/// Bytes of a header that is nearly as large as Envoy's default limit of 60 KiB for all headers lets it be.
const LONG: usize = 60_000;
const LONG_VALUE: &[u8] = &[b'v'; LONG];
const LONG_TOKEN: &[u8] = &padded::<LONG>(b"Bearer sk_live_");
/// 256 bytes behind `Bearer `, and one more.
const LONGEST_KEY: &[u8] = &padded::<{ 7 + 256 }>(b"Bearer sk_live_");
const TOO_LONG_KEY: &[u8] = &padded::<{ 7 + 257 }>(b"Bearer sk_live_");

/// `start`, filled up to `N` bytes.
const fn padded<const N: usize>(start: &[u8]) -> [u8; N] {
    let mut out = [b'x'; N];
    out.split_at_mut(start.len()).0.copy_from_slice(start);
    out
}
