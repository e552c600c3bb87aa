//! The serialised header map: what comes out of it, and that no bytes break it.

use proptest::prelude::*;

use super::*;
use crate::decision::headers::{serialize_map, status_of};

fn parse<'a>(map: &'a [u8]) -> Request<'a> {
    Request::from_map(map).expect("a map")
}

#[test]
fn takes_what_decisions_depend_on() {
    let headers = [
        (":method", "OPTIONS"),
        (":path", "/v1/agents?x=1"),
        ("origin", "https://a.example"),
        ("access-control-request-method", "GET"),
        ("x-flametalk-key-id", "forged"),
        ("x-flametalk-key-id", "forged again"),
        ("x-flametalk-anything", "forged"),
        ("x_flametalk-key_id", "forged"),
        ("x-flametalk-anything", "forged again"),
        ("x-flametalk-", "forged"),
        ("x_flametalk-key_id", "forged again"),
        ("x-flametal", "kept"),
        ("x.flametalk.key.id", "forged"),
        ("x~flametalk~key-id", "forged"),
        ("xxflametalk-key-id", "kept"),
        ("x-flametalks-key-id", "kept"),
        ("x-flametalk0key-id", "kept"),
        ("x-other", "kept"),
    ];
    let map = serialize_map(headers.into_iter());
    let request = parse(&map);
    assert_eq!(request.method, b"OPTIONS");
    assert_eq!(request.path_without_query(), b"/v1/agents");
    assert!(request.is_cors_preflight());
    assert_eq!(request.forged.copies(), [0, 2, 0]);
    let others: Vec<_> = request.forged.others().collect();
    assert_eq!(
        others,
        [
            &b"x-flametalk-anything"[..],
            b"x_flametalk-key_id",
            b"x-flametalk-",
            b"x.flametalk.key.id",
            b"x~flametalk~key-id"
        ]
    );
    assert!(matches!(request.authorization, Authorization::Absent));
    let map = serialize_map([("authorization", "Bearer t")].into_iter().chain(headers));
    assert!(matches!(parse(&map).authorization, Authorization::Single(b"Bearer t")));
    assert!(!parse(&map).is_cors_preflight(), "browsers put no credentials on a preflight");
}

#[test]
fn a_second_authorization_header_is_seen() {
    let map = serialize_map([("authorization", "Bearer a"), ("authorization", "Bearer a")].into_iter());
    assert!(matches!(parse(&map).authorization, Authorization::Repeated));
}

const PREFLIGHT: [(&str, &str); 3] =
    [(":method", "OPTIONS"), ("origin", "https://a.example"), ("access-control-request-method", "GET")];

fn is_preflight(headers: &[(&str, &str)]) -> bool {
    parse(&serialize_map(headers.iter().copied())).is_cors_preflight()
}

#[test]
fn a_preflight_needs_method_origin_and_requested_method() {
    assert!(is_preflight(&PREFLIGHT));
    for left_out in 0..PREFLIGHT.len() {
        let mut headers = PREFLIGHT.to_vec();
        let (name, _) = headers.remove(left_out);
        assert!(!is_preflight(&headers), "without {name}");
    }
}

#[test]
fn a_preflight_has_one_origin_and_one_requested_method_with_something_in_them() {
    for place in 1..PREFLIGHT.len() {
        for value in ["", " ", "\t", "a,b", "a, b", "a b", "a,", ","] {
            let mut headers = PREFLIGHT;
            headers[place].1 = value;
            assert!(!is_preflight(&headers), "{headers:?}");
        }
        for value in ["", "x", PREFLIGHT[place].1] {
            let again = [&PREFLIGHT[..], &[(PREFLIGHT[place].0, value)]].concat();
            assert!(!is_preflight(&again), "{again:?}");
        }
    }
}

#[test]
fn a_preflight_asks_for_no_other_protocol() {
    for (name, value) in
        [("upgrade", "websocket"), ("upgrade", ""), ("upgrade", "H2C"), (":protocol", "websocket")]
    {
        let headers = [&PREFLIGHT[..], &[(name, value)]].concat();
        assert!(!is_preflight(&headers), "{headers:?}");
        assert!(parse(&serialize_map(headers.iter().copied())).is_upgrade(), "{headers:?}");
    }
    assert!(parse(&serialize_map([(":method", "CONNECT")].into_iter())).is_upgrade());
    assert!(!parse(&serialize_map(PREFLIGHT.into_iter())).is_upgrade());
}

#[test]
fn a_preflight_has_no_body() {
    let map = serialize_map(PREFLIGHT.into_iter());
    let mut request = Request::with_body(true);
    request.read(&map).unwrap();
    assert!(!request.is_cors_preflight() && request.is_preflight_with_body());
    assert!(!parse(&map).is_preflight_with_body());
}

#[test]
fn finds_the_status_of_an_answer() {
    let map = serialize_map([(":status", "200"), ("x", "y")].into_iter());
    assert_eq!(status_of(&map), Some((b"200".to_vec(), false)));
    assert_eq!(status_of(b""), None);
}

proptest! {
    #[test]
    fn any_bytes_are_a_map_or_none(bytes: Vec<u8>) {
        let _ = Request::from_map(&bytes);
    }

    #[test]
    fn every_header_comes_through(values in proptest::collection::vec("[a-z]{0,20}", 0..20)) {
        let map = serialize_map(values.iter().map(|value| ("authorization", value.as_str())));
        let request = parse(&map);
        match values.as_slice() {
            [] => prop_assert!(matches!(request.authorization, Authorization::Absent)),
            [one] => prop_assert!(matches!(request.authorization, Authorization::Single(v) if v == one.as_bytes())),
            _ => prop_assert!(matches!(request.authorization, Authorization::Repeated)),
        }
    }

    #[test]
    fn a_cut_map_is_no_map(values in proptest::collection::vec("[a-z]{1,20}", 1..9), cut in 1usize..30) {
        let map = serialize_map(values.iter().map(|value| ("authorization", value.as_str())));
        let end = map.len().saturating_sub(cut);
        prop_assert!(Request::from_map(&map[..end]).is_none());
    }
}

#[test]
fn grpc_is_what_envoy_takes_for_it() {
    for (content_type, grpc) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc+", true),
        ("application/grpc-web", false),
        ("application/grpcx", false),
        ("application/grpc; charset=utf-8", false),
        ("Application/gRPC", false),
        ("application/json", false),
        ("", false),
    ] {
        let map = serialize_map([(":path", "/a.B/C"), ("content-type", content_type)].into_iter());
        assert_eq!(parse(&map).grpc, grpc, "{content_type}");
    }
}
