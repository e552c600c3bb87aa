//! gRPC clients see statuses, not JSON.

use flamegate_e2e::{Plugin, Protocol, Request, Stack, upstream::echoed};
use serde_json::json;

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

    let denied = |request: &Request, status: &str, code: &str| {
        let answer = send(request);
        assert_eq!(answer.status, 200, "a gRPC error is no HTTP error");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/grpc"));
        assert_eq!(answer.all("grpc-status"), [status], "{answer:?}");
        let message = answer.header("grpc-message").unwrap_or_default();
        assert!(message.contains(code), "{message}");
        assert!(answer.body.is_empty());
        answer
    };
    denied(&call(), "16", "UNAUTHORIZED");
    denied(&call().bearer("sk_live_nobody"), "16", "INVALID_API_KEY");
    assert_eq!(send(&call().bearer(&limited.key)).header("grpc-status").as_deref(), Some("0"));
    let answer = denied(&call().bearer(&limited.key), "8", "RATE_LIMITED");
    assert!(answer.header("retry-after").is_some());
}
