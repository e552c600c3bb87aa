//! Which paths need no key, and the tricks that must not make one of them.

use super::*;

fn rules() -> Vec<BypassRule> {
    let rule = |path: &str, prefix, methods: &[&str]| BypassRule {
        path: path.to_owned(),
        prefix,
        methods: methods.iter().map(|m| (*m).to_owned()).collect(),
    };
    vec![rule("/healthz", false, &[]), rule("/public/", true, &["GET", "HEAD"])]
}

fn decision(method: &str, path: &str) -> Option<Bypass> {
    let request = Request { method: method.as_bytes(), path: path.as_bytes(), ..Request::default() };
    bypass(&rules(), true, &request)
}

#[test]
fn an_exact_rule_matches_its_path_with_any_query() {
    for path in ["/healthz", "/healthz?", "/healthz?x=/../v1", "/healthz#f"] {
        assert_eq!(decision("POST", path), Some(Bypass::Path), "{path}");
    }
    for path in ["/healthz/", "/healthzz", "/Healthz", "healthz", "/", "", "*"] {
        assert_eq!(decision("GET", path), None, "{path}");
    }
}

#[test]
fn a_prefix_rule_matches_what_is_below_it_with_its_methods() {
    for path in ["/public/", "/public/a", "/public/a/b%20c/", "/public/.well-known", "/public/a..b"] {
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
    ] {
        assert_eq!(decision("GET", path), None, "{path}");
    }
}

#[test]
fn a_preflight_passes_only_where_it_is_allowed_to() {
    let preflight = Request {
        method: b"OPTIONS",
        path: b"/v1/agents",
        has_origin: true,
        has_requested_method: true,
        ..Request::default()
    };
    assert_eq!(bypass(&[], true, &preflight), Some(Bypass::Preflight));
    assert_eq!(bypass(&[], false, &preflight), None);
    assert_eq!(decision("OPTIONS", "/v1/agents"), None);
}
