//! What a key's rules open, and the tricks that must not open more.

use super::*;

fn restriction(methods: &[&str], paths: &[&str], addresses: &[&str]) -> Restriction {
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Restriction::new(&Restrict { methods: list(methods), paths: list(paths), addresses: list(addresses) })
}

fn ask(rules: &Restriction, method: &str, path: &str) -> Result<(), Forbidden> {
    let request = Request { method: method.as_bytes(), path: path.as_bytes(), ..Request::default() };
    rules.check(&request, || panic!("nobody asks for the address"))
}

#[test]
fn a_method_is_one_of_the_list_to_the_letter() {
    let rules = restriction(&["GET", "HEAD"], &[], &[]);
    for (method, verdict) in [
        ("GET", Ok(())),
        ("HEAD", Ok(())),
        ("POST", Err(Forbidden::Method)),
        ("get", Err(Forbidden::Method)),
        ("GETS", Err(Forbidden::Method)),
        ("", Err(Forbidden::Method)),
        ("OPTIONS", Err(Forbidden::Method)),
    ] {
        assert_eq!(ask(&rules, method, "/a/../b"), verdict, "{method}");
    }
}

#[test]
fn an_upgrade_needs_its_method_and_what_it_becomes_on_the_way() {
    let upgrade = |methods: &[&str], method: &'static [u8]| {
        let request = Request { method, path: b"/", upgrade: true, ..Request::default() };
        restriction(methods, &[], &[]).check(&request, || None).is_ok()
    };
    assert!(!upgrade(&["GET", "HEAD"], b"GET"), "what comes then has no method");
    assert!(upgrade(&["GET", "CONNECT"], b"GET"));
    assert!(!upgrade(&["GET", "CONNECT"], b"POST"));
    assert!(!upgrade(&["POST", "CONNECT"], b"POST"), "it arrives as GET");
    assert_eq!(ask(&restriction(&["CONNECT"], &[], &[]), "CONNECT", ""), Err(Forbidden::Method));
    let any = Request { method: b"GET", path: b"/", upgrade: true, ..Request::default() };
    assert_eq!(restriction(&[], &["/"], &[]).check(&any, || None), Ok(()), "methods are not restricted");
}

#[test]
fn a_path_is_exact_or_below() {
    let rules = restriction(&[], &["/v1/agents", "/v1/agents/*", "/v1/calls"], &[]);
    for path in [
        "/v1/agents",
        "/v1/agents?x=/../admin",
        "/v1/agents/",
        "/v1/agents/7",
        "/v1/agents/7/calls/",
        "/v1/agents/%7e",
        "/v1/calls?",
    ] {
        assert_eq!(ask(&rules, "DELETE", path), Ok(()), "{path}");
    }
    for path in [
        "",
        "*",
        "/",
        "/v1/agentsx",
        "/V1/agents",
        "/v1/calls/",
        "/v1/calls/7",
        "/v1/agents/../admin",
        "/v1/agents/..",
        "/v1/agents/%2e%2e/admin",
        "/v1/agents/..%2fadmin",
        "/v1/agents/..\\admin",
        "/v1/agents//admin",
        "/v1/agents/;/admin",
        "/v1/agents/%00",
        "/v1/agents/a#b",
        "/v1/agents/%252e%252e",
        "http://host/v1/agents",
        "//v1/agents",
        "/x/../v1/agents",
        "/v1/%61gents",
    ] {
        assert_eq!(ask(&rules, "GET", path), Err(Forbidden::Path), "{path}");
    }
    assert_eq!(ask(&restriction(&[], &["/*"], &[]), "GET", "/a/b"), Ok(()));
    assert_eq!(ask(&restriction(&[], &["/*"], &[]), "GET", "/a/../b"), Err(Forbidden::Path));
}

#[test]
fn an_address_is_in_one_of_the_networks() {
    let rules =
        restriction(&[], &[], &["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:203.0.113.0/120"]);
    let ask = |rules: &Restriction, address: Option<&str>| {
        rules.check(&Request::default(), || address.map(|text| text.as_bytes().to_vec()))
    };
    for address in [
        "10.1.2.3:443",
        "10.255.255.255",
        "192.0.2.7:1",
        "[2001:db8::1]:80",
        "2001:db8:ffff::",
        "[::ffff:10.0.0.1]:1",
        "203.0.113.9:1",
    ] {
        assert_eq!(ask(&rules, Some(address)), Ok(()), "{address}");
    }
    for address in [
        "11.0.0.0:1",
        "192.0.2.8:1",
        "192.0.2.70:1",
        "[2001:db9::1]:80",
        "[::10.0.0.1]:1",
        "203.0.114.9:1",
        "/var/run/envoy.sock",
        "@abstract",
        "",
        "10.0.0.1:x",
        "\u{661}0.0.0.1",
    ] {
        assert_eq!(ask(&rules, Some(address)), Err(Forbidden::Address), "{address}");
    }
    assert_eq!(ask(&rules, None), Err(Forbidden::Address), "a host that has no address");
    let any = |network| restriction(&[], &[], &[network]);
    assert_eq!(ask(&any("0.0.0.0/0"), Some("203.0.113.9:1")), Ok(()));
    assert_eq!(ask(&any("0.0.0.0/0"), Some("[2001:db8::1]:1")), Err(Forbidden::Address));
    assert_eq!(ask(&any("::/0"), Some("[2001:db8::1]:1")), Ok(()));
    assert_eq!(ask(&any("::/0"), Some("203.0.113.9:1")), Err(Forbidden::Address), "of another family");
    assert_eq!(ask(&any("10.0.0.9/8"), Some("10.3.0.0:1")), Ok(()), "bits behind the length say nothing");
}

#[test]
fn what_cannot_be_understood_opens_nothing_and_what_is_empty_restricts_nothing() {
    let broken = restriction(&[], &[], &["10.0.0.0/33", "here"]);
    assert_eq!(broken.check(&Request::default(), || Some(b"10.0.0.1".to_vec())), Err(Forbidden::Address));
    let nothing = restriction(&[], &[], &[]);
    assert_eq!(ask(&nothing, "ANY", "/a/../b"), Ok(()));
}

#[test]
fn every_list_must_match() {
    let rules = restriction(&["GET"], &["/a"], &["10.0.0.0/8"]);
    let ask = |method: &'static [u8], path: &'static [u8], address: &'static [u8]| {
        let request = Request { method, path, ..Request::default() };
        rules.check(&request, || Some(address.to_vec()))
    };
    assert_eq!(ask(b"GET", b"/a", b"10.0.0.1"), Ok(()));
    assert_eq!(ask(b"PUT", b"/a", b"10.0.0.1"), Err(Forbidden::Method));
    assert_eq!(ask(b"GET", b"/b", b"10.0.0.1"), Err(Forbidden::Path));
    assert_eq!(ask(b"GET", b"/a", b"11.0.0.1"), Err(Forbidden::Address));
}

#[test]
fn rules_open_what_narrower_ones_open() {
    let narrow = restriction(&["GET"], &["/a"], &[]);
    for (wide, opens) in [
        (restriction(&[], &[], &[]), true),
        (restriction(&["GET", "PUT"], &["/a", "/b/*"], &[]), true),
        (narrow.clone(), true),
        (restriction(&["PUT"], &["/a"], &[]), false),
        (restriction(&["GET"], &["/b"], &[]), false),
        (restriction(&["GET"], &["/a"], &["10.0.0.0/8"]), false),
    ] {
        assert_eq!(wide.opens_all_of(&narrow), opens, "{wide:?}");
    }
}
