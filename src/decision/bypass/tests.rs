//! Which paths need no key, and the tricks that must not make one of them.

use super::*;
use crate::decision::request::Once;

fn rules() -> Vec<BypassRule> {
    let rule = |path: &str, prefix, methods: &[&str]| BypassRule {
        path: path.to_owned(),
        prefix,
        methods: methods.iter().map(|m| (*m).to_owned()).collect(),
        upgrade: false,
    };
    vec![rule("/healthz", false, &[]), rule("/public/", true, &["GET", "HEAD"])]
}

fn decision(method: &str, path: &str) -> Option<Bypass> {
    let request = Request { method: method.as_bytes(), path: path.as_bytes(), ..Request::default() };
    bypass(&rules(), true, &request)
}

#[test]
fn an_exact_rule_matches_its_path_with_any_query() {
    for path in ["/healthz", "/healthz?", "/healthz?x=/../v1", "/healthz?a#b"] {
        assert_eq!(decision("POST", path), Some(Bypass::Path), "{path}");
    }
    for path in [
        "/healthz/",
        "/healthzz",
        "/Healthz",
        "healthz",
        "/",
        "",
        "*",
        "/healthz#",
        "/healthz#f",
        "/#?/healthz",
    ] {
        assert_eq!(decision("GET", path), None, "{path}");
    }
}

#[test]
fn a_prefix_rule_matches_what_is_below_it_with_its_methods() {
    for path in [
        "/public/",
        "/public/a",
        "/public/%61/%7e%5F%2dc/",
        "/public/.well-known/x",
        "/public/._a",
        "/public/a..b",
        "/public/a..",
        "/public/@a:80/b,c=(d)*'!$&",
    ] {
        assert_eq!(decision("GET", path), Some(Bypass::Path), "{path}");
    }
    assert_eq!(decision("POST", "/public/a"), None);
    assert_eq!(decision("GET", "/publications"), None);
}

#[test]
fn a_path_with_two_readings_never_matches() {
    for path in [
        "/public/../v1/agents",
        "/public/./a",
        "/public//a",
        "//public/a",
        "/public/..",
        "/public/a//",
        "/public\\..\\v1",
        "/public/%2e%2e/v1/agents",
        "/public/%2E%2E%2Fv1",
        "/public%2f..%2fv1",
        "/public/%5c..",
        "/public/%252e%252e/v1",
        "/public/%00",
        "/public/%0a",
        "/public/%7f",
        "/public/%c0%af",
        "/public/%e9",
        "/public/%",
        "/public/%zz",
        "/public/..;/v1/agents",
        "/public/;x=/../v1",
        "/public/\u{e9}",
        "/public/ a",
        "/public/\t",
        "/public/..%3f/../v1",
        "/public/..%3F",
        "/public/..%23/v1",
        "/public/..%20/v1",
        "/public/..%09",
        "/public/..%00/v1",
        "/public/..+/v1",
        "/public/+../v1",
        "/public/c++",
        "/public/...",
        "/public/..a/v1",
        "/public/..~/v1",
        "/public/..:/v1",
        "/public/.:/v1",
        "/public/.",
        "/public/.%",
        "/public/.%61/a",
        "/public/.%2e/v1",
        "/public/.%2E",
        "/public/a%20b",
        "/public/a%3fb",
        "/public/a%3Fb",
        "/public/a%23b",
        "/public/a%3ab",
        "/public/a%3b",
        "/public/a%26",
        "/public/a%2b",
        "/public/a%40",
        "/public/%u002e%u002e/v1",
        "/public/%c0%ae%c0%ae/v1",
        "/public/#",
        "/public/..#/v1",
        "/public/a#/../../v1",
        "/public/a|b",
        "/public/<a>",
        "/public/a\"",
        "/public/{a}",
        "/public/a^`",
        "/public/[a]",
    ] {
        assert_eq!(decision("GET", path), None, "{path}");
    }
}

#[test]
fn a_preflight_passes_only_where_it_is_allowed_to() {
    let preflight = Request {
        method: b"OPTIONS",
        path: b"/v1/agents",
        origin: Once::One,
        requested_method: Once::One,
        ..Request::default()
    };
    assert_eq!(bypass(&[], true, &preflight), Some(Bypass::Preflight));
    assert_eq!(bypass(&[], false, &preflight), None);
    assert_eq!(decision("OPTIONS", "/v1/agents"), None);
}

#[test]
fn a_rule_admits_an_upgrade_only_when_it_says_so_and_by_the_method_that_arrives() {
    let rule = |methods: &[&str], upgrade| BypassRule {
        path: "/socket".to_owned(),
        prefix: false,
        methods: methods.iter().map(|m| (*m).to_owned()).collect(),
        upgrade,
    };
    let asked = |rule: BypassRule, method: &str, upgrade| {
        let request = Request { method: method.as_bytes(), path: b"/socket", upgrade, ..Request::default() };
        bypass(&[rule], true, &request).is_some()
    };
    for method in ["GET", "POST", "CONNECT"] {
        assert!(!asked(rule(&[], false), method, true), "{method}");
        assert!(asked(rule(&[], true), method, true), "{method}");
        assert!(!asked(rule(&["POST", "CONNECT"], true), method, true), "{method} arrives as GET");
    }
    assert!(asked(rule(&["GET"], true), "GET", true));
    assert!(!asked(rule(&["GET"], true), "POST", true));
    assert!(asked(rule(&["GET", "POST"], true), "POST", true));
    assert!(asked(rule(&["POST"], true), "POST", false), "no upgrade");
    assert!(!asked(rule(&[], false), "CONNECT", false), "CONNECT is one without the header");
}
