//! Rows about routes that say what their requests cost and whose keys they are for.

use super::{BASE, BEARER, Bypass, Case, Denial, Expect, Gateway, KeyKind};

/// The rows of this file.
pub const ALL: &[&[Case]] = &[SETTINGS];

/// The routes of [`Gateway::Routes`] that say something: the beginnings of their paths, and their metadata for the filter. Of two that
/// fit the first counts.
pub const ROUTES: &[(&str, &str)] = &[
    ("/free/", r#"{"cost": 0}"#),
    ("/dear/", r#"{"cost": 5}"#),
    ("/live/", r#"{"environments": ["live"]}"#),
    ("/test/", r#"{"cost": 2, "environments": ["test"]}"#),
    ("/wrong/", r#"{"costs": 5}"#),
    ("/null/", r#"{"cost": null}"#),
    ("/public/", r#"{"costs": 5}"#),
];

const fn at(name: &'static str, path: &'static str, key: KeyKind, expect: Expect) -> Case {
    Case { name, gateway: Gateway::Routes, path, key, authorization: BEARER, expect, ..BASE }
}

/// What routes say counts for who has a good key, and for nobody else.
const SETTINGS: &[Case] = &[
    at("route that says nothing", "/v1/agents", KeyKind::Live, Expect::Permitted),
    at("route that costs five", "/dear/a?x=/free/", KeyKind::Live, Expect::Permitted),
    at(
        "route that costs five, its limit used up",
        "/dear/a",
        KeyKind::KeyLimitReached,
        Expect::Denied(Denial::KeyLimit),
    ),
    at(
        "route that costs five, the workspace's limit used up",
        "/dear/a",
        KeyKind::WorkspaceLimitReached,
        Expect::Denied(Denial::WorkspaceLimit),
    ),
    at("free route, its limit used up", "/free/a", KeyKind::KeyLimitReached, Expect::Permitted),
    at(
        "free route, the workspace's limit used up",
        "/free/a",
        KeyKind::WorkspaceLimitReached,
        Expect::Permitted,
    ),
    at("free route, revoked key", "/free/a", KeyKind::Revoked, Expect::Denied(Denial::Unknown)),
    at("free route, expired key", "/free/a", KeyKind::Expired, Expect::Denied(Denial::Expired)),
    at("free route, a key for other paths", "/free/a", KeyKind::Restricted, Expect::Denied(Denial::Path)),
    Case {
        authorization: &[],
        ..at("free route, no key", "/free/a", KeyKind::None, Expect::Denied(Denial::Missing))
    },
    at("route for live keys, live key", "/live/a", KeyKind::Live, Expect::Permitted),
    at("route for live keys, test key", "/live/a", KeyKind::Test, Expect::Denied(Denial::Environment)),
    at("route for live keys, unknown key", "/live/a", KeyKind::Unknown, Expect::Denied(Denial::Unknown)),
    at("route for test keys, test key", "/test/a", KeyKind::Test, Expect::Permitted),
    at("route for test keys, live key", "/test/a", KeyKind::Live, Expect::Denied(Denial::Environment)),
    at("unreadable route, good key", "/wrong/a", KeyKind::Live, Expect::Denied(Denial::RouteSettings)),
    at("unreadable route, good key again", "/wrong/a", KeyKind::Test, Expect::Denied(Denial::RouteSettings)),
    at("unreadable route, unknown key", "/wrong/a", KeyKind::Unknown, Expect::Denied(Denial::Unknown)),
    at("route with nothing in a field", "/null/a", KeyKind::Live, Expect::Denied(Denial::RouteSettings)),
    at("unreadable route that needs no key", "/public/a", KeyKind::Live, Expect::Bypassed(Bypass::Path)),
];
