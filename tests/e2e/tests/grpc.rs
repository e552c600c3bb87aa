//! gRPC clients see statuses and sentences, not JSON; programs find the code in `grpc-status-details-bin`.

use std::{sync::mpsc, thread};

use flamegate_e2e::{
    Answer, Envoy, Plugin, Protocol, Request, Stack,
    envoy::{Upstreams, render, with_upstream_protocol},
    scripted::{Scripted, answer},
    stack::surroundings,
    upstream::echoed,
};
use serde_json::json;

const UNAUTHORIZED: (&str, &str, &str) = ("16", "UNAUTHORIZED", "Invalid or missing API key");
const INVALID: (&str, &str, &str) = ("16", "INVALID_API_KEY", "The API key is invalid or has been revoked");
const RATE_LIMITED: (&str, &str, &str) = ("8", "RATE_LIMITED", "Too many requests, slow down");

fn call() -> Request {
    Request::new("POST", "/flametalk.v1.Agents/List")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

#[test]
fn verdicts_are_grpc_statuses() {
    let stack = Stack::start("grpc", &Plugin::singleton(json!({})));
    let once = json!({"limits": [{"requests": 1, "window_seconds": 3600, "burst": 1}]});
    let limited = stack.control.create_key("e2e", "live", once);
    let key = stack.accepted_key("live");
    let send = |request: &Request| stack.envoy.send_by(Protocol::Http2, request);

    let answer = send(&call().bearer(&key.key));
    assert_eq!((answer.status, answer.header("grpc-status").as_deref()), (200, Some("0")), "{answer:?}");
    let arrived = echoed(&answer).expect("the upstream's message");
    assert!(arrived.contains(&("x-flametalk-key-id".to_owned(), key.id.clone().into_bytes())));

    let denied = |request: &Request, wanted| {
        let answer = send(request);
        assert_denied(&answer, wanted);
        answer
    };
    denied(&call(), UNAUTHORIZED);
    denied(&call().bearer("sk_live_nobody"), INVALID);
    assert_eq!(send(&call().bearer(&limited.key)).header("grpc-status").as_deref(), Some("0"));
    let answer = denied(&call().bearer(&limited.key), RATE_LIMITED);
    for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
        assert_eq!(answer.all(name).len(), 1, "{name}: {answer:?}");
    }

    // Whoever is not gRPC to Envoy gets the envelope, however near its content type is.
    for content_type in
        ["application/grpcx", "application/grpc-web", "application/grpc; x=1", "application/json"]
    {
        let answer = send(&Request::new("POST", "/a.B/C").header("content-type", content_type));
        assert_eq!((answer.status, answer.code().as_deref()), (401, Some("UNAUTHORIZED")), "{content_type}");
        assert_eq!(answer.header("grpc-status-details-bin"), None);
    }
}

/// A denial as a gRPC library sees it: status, a sentence without percent signs, and the reason.
fn assert_denied(answer: &Answer, (status, code, message): (&str, &str, &str)) {
    assert_eq!(answer.status, 200, "a gRPC error is no HTTP error");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/grpc"));
    assert_eq!(answer.all("grpc-status"), [status], "{answer:?}");
    assert_eq!(answer.all("grpc-message"), [message], "{answer:?}");
    let details = answer.all("grpc-status-details-bin");
    assert_eq!(details.len(), 1, "{answer:?}");
    let details = String::from_utf8_lossy(&unbase64(&details[0])).into_owned();
    for part in [message, "type.googleapis.com/google.rpc.ErrorInfo", code, "flametalk"] {
        assert!(details.contains(part), "{details:?} has no {part}");
    }
    assert!(answer.body.is_empty());
}

/// RFC 4648 section 4.
fn unbase64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits = text.bytes().flat_map(|byte| (0..6).rev().map(move |bit| digit(byte) >> bit & 1));
    let bits: Vec<u8> = bits.collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect()
}

#[test]
fn a_throttled_address_is_told_like_a_used_up_limit() {
    // Nothing to wait for: whoever waits by asking with a key that is not known yet is throttled.
    let alone = json!({"static_keys": [], "failure_throttle": {"failures": 1, "window_seconds": 3600}});
    let stack = Stack::start("grpc-throttled", &Plugin::alone(alone));
    let mut connection = flamegate_e2e::http2::Connection::open(stack.envoy.port).expect("connection");
    let mut send = |token: &str| connection.send(&call().bearer(token)).expect("an answer");
    assert_denied(&send("sk_live_nobody1"), INVALID);
    let last = (2..5).map(|number| send(&format!("sk_live_nobody{number}"))).last().expect("an answer");
    assert_denied(&last, RATE_LIMITED);
}

#[test]
fn a_call_that_waits_ends_with_its_key_in_the_same_words() {
    let (arrived, arrives) = mpsc::sync_channel(1);
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let upstream = Scripted::start(move |request| {
        if request.all("x-waits") == ["yes"] {
            arrived.send(()).expect("the test");
            let _ = released.lock().expect("released").recv();
        }
        answer("200 OK", &[], "")
    });
    let (folder, _echo, control) = surroundings("grpc-ends");
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let envoy = Envoy::start_with("envoy", &folder, |ports, log| {
        let text = render(&Plugin::singleton(json!({})), upstreams, ports, log);
        with_upstream_protocol(&text, "explicit_http_config: { http_protocol_options: {} }")
    });
    let key = control.create_key("e2e", "live", json!({"limits": []}));
    // Each worker looks at the table in its own time, and the call goes to either.
    envoy.wait_for(&Request::get("/v1/agents").bearer(&key.key), 200);
    let (port, waiting) = (envoy.port, call().bearer(&key.key).header("x-waits", "yes"));
    let client = thread::spawn(move || waiting.send(Protocol::Http2, port).expect("an answer"));
    arrives.recv_timeout(flamegate_e2e::DEADLINE).expect("the call");
    control.revoke(&key.id, "0s");
    assert_denied(&client.join().expect("the client"), INVALID);
    drop(release);
}
