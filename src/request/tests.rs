//! The serialised header map: what comes out of it, and that no bytes break it.

use proptest::prelude::*;

use super::*;

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
        ("x.flametalk-key-id", "kept"),
        ("x-other", "kept"),
    ];
    let map = serialize_map(headers.into_iter());
    let request = parse(&map);
    assert_eq!(request.method, b"OPTIONS");
    assert_eq!(request.path_without_query(), b"/v1/agents");
    assert!(request.is_cors_preflight());
    assert_eq!(request.forged.copies(), [0, 2, 0]);
    let others: Vec<_> = request.forged.others().collect();
    assert_eq!(others, [&b"x-flametalk-anything"[..], b"x_flametalk-key_id", b"x-flametalk-"]);
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

#[test]
fn a_preflight_needs_method_origin_and_requested_method() {
    let all = [(":method", "OPTIONS"), ("origin", "o"), ("access-control-request-method", "GET")];
    for left_out in 0..all.len() {
        let headers =
            all.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, header)| *header);
        let map = serialize_map(headers.collect::<Vec<_>>().into_iter());
        assert!(!parse(&map).is_cors_preflight(), "without {}", all[left_out].0);
    }
}

#[test]
fn finds_the_status_of_an_answer() {
    let map = serialize_map([(":status", "200"), ("x", "y")].into_iter());
    assert_eq!(status_of(&map).as_deref(), Some(&b"200"[..]));
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
