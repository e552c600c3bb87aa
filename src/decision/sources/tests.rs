//! What is found where, what two places make of each other, and that nothing is left.

use super::*;
use crate::decision::credential::{Authorization, NoToken};
use crate::decision::headers::serialize_map;
use crate::decision::request::Request;

fn all() -> KeySources {
    KeySources::new(vec![
        Source::Bearer,
        Source::Header("x-api-key".into()),
        Source::BasicUsername,
        Source::Query("api_key".into()),
        Source::Cookie("key".into()),
        Source::WebsocketProtocol("flametalk.key.".into()),
    ])
}

/// Names and values of headers.
type Headers = Vec<(String, String)>;

fn changes<'a>(found: &Found<'a>) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    let all: Result<(), ()> = found.try_changes(|change| {
        changes.push(change);
        Ok(())
    });
    all.unwrap();
    changes
}

/// What a request with these headers comes with, and what is left of it.
fn ask(sources: &KeySources, headers: &[(&str, &str)]) -> (Result<Vec<u8>, NoToken>, Headers) {
    let map = serialize_map(headers.iter().copied());
    let mut found = Found::new(sources);
    let mut request = Request::default();
    request.read_with(&map, &mut found).unwrap();
    request.found = Some(&found);
    let token = request.presented().token().map(|token| token.as_bytes().to_vec());
    let mut left: Headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for change in changes(&found) {
        match change {
            Change::Remove(name) => left.retain(|(own, _)| own != name),
            Change::Set(name, value) => {
                let value = String::from_utf8(value).unwrap();
                match left.iter_mut().find(|(own, _)| own == name) {
                    Some((_, own)) => *own = value,
                    None => left.push((name.to_owned(), value)),
                }
            }
        }
    }
    assert_eq!(found.changes_headers(), !changes(&found).is_empty());
    (token, left)
}

fn token(headers: &[(&str, &str)]) -> Result<String, NoToken> {
    ask(&all(), headers).0.map(|token| String::from_utf8(token).unwrap())
}

#[test]
fn a_key_is_found_in_every_place() {
    // "sk_live_x:" and "sk_live_x:secret" in base64, made by another program.
    for headers in [
        &[("authorization", "Bearer sk_live_x")][..],
        &[("x-api-key", " sk_live_x\t")],
        &[("authorization", "Basic c2tfbGl2ZV94Og==")],
        &[("authorization", "basic  c2tfbGl2ZV94Og")],
        &[("authorization", "Basic c2tfbGl2ZV94OnNlY3JldA==")],
        &[(":path", "/a?api_key=sk_live_x")],
        &[(":path", "/a?b=c&api%5fkey=sk%5Flive_x&d")],
        &[("cookie", "a=b; key=sk_live_x;c=d")],
        &[("cookie", "a=b"), ("cookie", "key=sk_live_x")],
        &[("sec-websocket-protocol", "v1, flametalk.key.sk_live_x")],
        // The same in several places, and places without a key beside one.
        &[
            ("authorization", "Bearer sk_live_x"),
            ("x-api-key", "sk_live_x"),
            (":path", "/?api_key=sk_live_x"),
        ],
        &[("authorization", "Digest username=a"), ("x-api-key", "sk_live_x")],
        &[("authorization", "Bearer"), (":path", "/?api_key=sk_live_x")],
        &[("x-api-key", ""), ("cookie", "key=sk_live_x")],
    ] {
        assert_eq!(token(headers).as_deref(), Ok("sk_live_x"), "{headers:?}");
    }
}

#[test]
fn what_is_no_key_has_a_reason() {
    for (headers, reason) in [
        (&[][..], NoToken::Missing),
        (&[(":path", "/api_key=sk_live_x")], NoToken::Missing),
        (&[(":path", "/?API_KEY=sk_live_x&api_key2=a&xapi_key=b#api_key=c")], NoToken::Missing),
        (&[("cookie", "KEY=sk_live_x; a=key=sk_live_x; keys=a")], NoToken::Missing),
        (&[("sec-websocket-protocol", "Flametalk.key.sk_live_x, v1")], NoToken::Missing),
        (&[("x-api-key", " ")], NoToken::Empty),
        (&[(":path", "/?api_key")], NoToken::Empty),
        (&[(":path", "/?api_key=&a")], NoToken::Empty),
        (&[("cookie", "key")], NoToken::Empty),
        (&[("sec-websocket-protocol", "flametalk.key.")], NoToken::Empty),
        // ":secret", no colon, no base64, one letter too many.
        (&[("authorization", "Basic OnNlY3JldA==")], NoToken::Scheme),
        (&[("authorization", "Basic c2tfbGl2ZV94")], NoToken::Scheme),
        (&[("authorization", "Basic c2tf*GVl")], NoToken::Scheme),
        (&[("authorization", "Basic c2tfb")], NoToken::Scheme),
        (&[("authorization", "Basic ====")], NoToken::Scheme),
        (&[("authorization", "Basic")], NoToken::Scheme),
        (&[("x-api-key", "sk_live_x, sk_live_x")], NoToken::Repeated),
        (&[("x-api-key", "sk_live_x"), ("x-api-key", "sk_live_x")], NoToken::Repeated),
        (&[(":path", "/?api_key=sk_live_x&api%5Fkey=sk_live_x")], NoToken::Repeated),
        (&[("cookie", "key=sk_live_x"), ("cookie", "key=sk_live_x")], NoToken::Repeated),
        (&[("sec-websocket-protocol", "flametalk.key.a,flametalk.key.a")], NoToken::Repeated),
        // Different keys, in either order, and a place with two beside a good one.
        (&[("authorization", "Bearer sk_live_x"), ("x-api-key", "sk_live_y")], NoToken::Repeated),
        (&[("x-api-key", "sk_live_y"), (":path", "/?api_key=sk_live_x")], NoToken::Repeated),
        (
            &[("x-api-key", "sk_live_x"), ("authorization", "Bearer a"), ("authorization", "b")],
            NoToken::Repeated,
        ),
    ] {
        assert_eq!(token(headers), Err(reason), "{headers:?}");
    }
}

#[test]
fn nothing_of_a_key_is_left() {
    let kept = |headers: &[(&str, &str)], left: &[(&str, &str)]| {
        let expected: Vec<_> = left.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!(ask(&all(), headers).1, expected, "{headers:?}");
    };
    kept(&[("x-api-key", "a"), ("x-api-key", "b"), ("x-other", "c")], &[("x-other", "c")]);
    kept(&[("x-api-key", "")], &[]);
    for (path, left) in [
        ("/a?api_key=k", "/a"),
        ("/a?api_key", "/a"),
        ("/a?x=1&api_key=k&y=%20+;?", "/a?x=1&y=%20+;?"),
        ("/a?api%5Fkey=k&&%61pi_key=l&x", "/a?&x"),
        ("/?x=api_key=k", "/?x=api_key=k"),
    ] {
        kept(&[(":path", path)], &[(":path", left)]);
    }
    kept(&[("cookie", "a=b;key=k ; c=\"d\"")], &[("cookie", "a=b; c=\"d\"")]);
    kept(&[("cookie", "key=k"), ("cookie", "a=b"), ("cookie", "c")], &[("cookie", "a=b; c")]);
    kept(&[("cookie", "key")], &[]);
    kept(&[("cookie", "a=b"), ("cookie", "c")], &[("cookie", "a=b"), ("cookie", "c")]);
    let protocols = "sec-websocket-protocol";
    kept(&[(protocols, "flametalk.key.k,v1"), (protocols, "v2")], &[(protocols, "v1, v2")]);
    kept(&[(protocols, "flametalk.key.")], &[]);
    kept(&[("authorization", "Bearer k")], &[("authorization", "Bearer k")]);
}

/// Envoy's own name is taken away by the edge, and only where it is a place of keys.
#[test]
fn a_place_that_is_not_named_is_not_looked_at() {
    let sources = KeySources::new(vec![Source::Header("x-api-key".into())]);
    assert!(!sources.use_authorization() && !sources.is_default());
    let headers =
        [("authorization", "Bearer sk_live_y"), (":path", "/?api_key=z"), ("x-api-key", "sk_live_x")];
    let (token, left) = ask(&sources, &headers);
    assert_eq!(token, Ok(b"sk_live_x".to_vec()));
    assert_eq!(left.len(), 2);
    assert_eq!(ask(&sources, &headers[..2]).0, Err(NoToken::Missing));
}

#[test]
fn a_preflight_may_have_a_key_in_its_address_and_nowhere_else() {
    let sources = all();
    let preflight = [
        (":method", "OPTIONS"),
        (":path", "/v1?api_key=sk_live_x"),
        ("origin", "https://app.example"),
        ("access-control-request-method", "GET"),
    ];
    for (more, expected) in [
        (None, true),
        (Some(("cookie", "key=a")), false),
        (Some(("cookie", "a=b")), true),
        (Some(("x-api-key", "a")), false),
        (Some(("authorization", "Basic Og==")), false),
        (Some(("sec-websocket-protocol", "flametalk.key.a")), false),
    ] {
        let headers: Vec<_> = preflight.into_iter().chain(more).collect();
        let map = serialize_map(headers.iter().copied());
        let mut found = Found::new(&sources);
        let mut request = Request::default();
        request.read_with(&map, &mut found).unwrap();
        request.found = Some(&found);
        assert_eq!(request.is_cors_preflight(), expected, "{more:?}");
    }
}

#[test]
fn nothing_of_a_credential_is_printed() {
    let sources = all();
    let map = serialize_map(
        [("x-api-key", "s3cret"), ("cookie", "key=s3cret"), ("cookie", "s3cret=a")].into_iter(),
    );
    let mut found = Found::new(&sources);
    Request::default().read_with(&map, &mut found).unwrap();
    let changes = changes(&found);
    let text = format!("{found:?} {changes:?} {:?} {:?}", found.token(), Authorization::Single(b"s3cret"));
    assert!(!text.contains("s3cret"), "{text}");
}

proptest::proptest! {
    /// The simplest reading of a query that there is: what is left has no parameter of the name, and every other one in its order.
    #[test]
    fn a_query_loses_its_key_and_nothing_else(
        before in "/[a-z/]{0,6}",
        parameters in proptest::collection::vec("(api_key|api%5Fkey|%61pi_key|x|)(=[a-z%0-9+=?]{0,4})?", 0..6),
    ) {
        let path = if parameters.is_empty() { before.clone() } else { format!("{before}?{}", parameters.join("&")) };
        let (_, left) = ask(&KeySources::new(vec![Source::Query("api_key".into())]), &[(":path", &path)]);
        let ours = |text: &&String| text.split('=').next().is_some_and(|name| name.contains("pi"));
        let kept: Vec<&str> = parameters.iter().filter(|text| !ours(text)).map(String::as_str).collect();
        let expected = if kept.is_empty() && !parameters.is_empty() { before } else if parameters.is_empty() { path } else { format!("{before}?{}", kept.join("&")) };
        proptest::prop_assert_eq!(&left[0].1, &expected);
    }

    #[test]
    fn any_bytes_are_read(headers: Vec<(u8, Vec<u8>)>) {
        const NAMES: [&[u8]; 6] = [b":path", b"cookie", b"x-api-key", b"authorization", b"sec-websocket-protocol", b"x"];
        let headers: Vec<(&[u8], &[u8])> =
            headers.iter().map(|(name, value)| (NAMES[usize::from(*name) % NAMES.len()], &value[..])).collect();
        let number = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
        let mut map = number(headers.len()).to_vec();
        headers.iter().for_each(|(name, value)| map.extend([number(name.len()), number(value.len())].concat()));
        headers.iter().for_each(|(name, value)| map.extend([name, &[0][..], value, &[0]].concat()));
        let sources = all();
        let mut found = Found::new(&sources);
        Request::default().read_with(&map, &mut found).unwrap();
        let _ = (found.token().is_ok(), changes(&found).len());
    }
}
