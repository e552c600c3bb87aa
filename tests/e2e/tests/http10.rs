//! HTTP/1.0, which nginx speaks to its upstreams by default: every verdict and its envelope are those of HTTP/1.1.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use flamegate_e2e::{
    Answer, Envoy, Plugin, Stack,
    envoy::{Upstreams, render},
    scripted::{Scripted, answer},
    stack::surroundings,
};
use serde_json::json;

/// What comes back until the gateway closes the connection, with the version in its first line.
fn send(port: u16, request: &str) -> (String, Answer) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connection");
    stream.set_read_timeout(Some(flamegate_e2e::DEADLINE)).expect("a limit");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the gateway closes");
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> (String, Answer) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let mut lines = head.lines();
    let (version, status) = lines.next().and_then(|line| line.split_once(' ')).expect("a status line");
    let status = status.get(..3).and_then(|text| text.parse().ok()).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().into())).collect();
    (version.to_owned(), Answer { status, headers, body: body.into() })
}

fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.0\r\nHost: gateway.test\r\n{lines}\r\n")
}

#[test]
fn verdicts_are_those_of_http_1_1() {
    let stack = Stack::start("http10", &Plugin::singleton(json!({})));
    let once = json!({"limits": [{"requests": 1, "window_seconds": 3600, "burst": 1}]});
    let limited = stack.control.create_key("e2e", "live", once);
    let key = stack.accepted_key("live");
    let port = stack.envoy.port;
    let bearer = |key: &str| get("/v1/agents", &format!("Authorization: Bearer {key}\r\n"));

    let (version, good) = send(port, &bearer(&key.key));
    assert_eq!((version.as_str(), good.status), ("HTTP/1.0", 200), "{}", good.text());
    assert!(good.text().contains(&key.id), "the upstream got the identity: {}", good.text());
    assert!(!good.text().contains("Bearer"), "{}", good.text());
    assert_eq!(good.header("transfer-encoding"), None, "HTTP/1.0 has no chunks");

    assert_eq!(send(port, &bearer(&limited.key)).1.status, 200);
    for (request, status, code) in [
        (get("/v1/agents", ""), 401, "UNAUTHORIZED"),
        (bearer("sk_live_nobody"), 401, "INVALID_API_KEY"),
        (bearer(&limited.key), 429, "RATE_LIMITED"),
        // What needs a key with HTTP/1.1 needs one here.
        (get("/public/../v1/agents", ""), 401, "UNAUTHORIZED"),
        (get("/public/a", "Connection: upgrade\r\nUpgrade: websocket\r\n"), 401, "UNAUTHORIZED"),
        ("GET /v1/agents HTTP/1.0\r\n\r\n".to_owned(), 401, "UNAUTHORIZED"),
    ] {
        let (_, answer) = send(port, &request);
        assert_eq!((answer.status, answer.code().as_deref()), (status, Some(code)), "{request:?}");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string()));
    }
    // A probe that names no host.
    let (_, probe) = send(port, "GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(probe.status, 200, "{}", probe.text());
    // HTTP/1.1 without a host stays a mistake.
    let close = "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n";
    assert_eq!(send(port, close).1.status, 400);
}

#[test]
fn a_connection_that_is_kept_carries_no_key_over() {
    let stack = Stack::start("http10-kept", &Plugin::singleton(json!({})));
    let key = stack.accepted_key("live");
    let mut stream = TcpStream::connect(("127.0.0.1", stack.envoy.port)).expect("connection");
    let kept = format!("Connection: keep-alive\r\nAuthorization: Bearer {}\r\n", key.key);
    let both = get("/v1/agents", &kept) + &get("/v1/agents", "Connection: close\r\n");
    stream.write_all(both.as_bytes()).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the gateway closes");
    let statuses: Vec<_> = text.match_indices("HTTP/1.").map(|(at, _)| &text[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "401"], "{text}");
}

/// Chunks are not of HTTP/1.0: an upstream may read such a request otherwise than Envoy does.
#[test]
fn nothing_is_hidden_in_a_body() {
    let upstream = Scripted::start(|_| answer("200 OK", &[], "ok"));
    let (folder, _echo, control) = surroundings("http10-hidden");
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let envoy = Envoy::start_with("envoy", &folder, |ports, log| {
        render(&Plugin::singleton(json!({})), upstreams, ports, log)
    });
    let hidden = "GET /v1/smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    let chunk = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    for (lines, body) in [
        ("Transfer-Encoding: chunked\r\n".to_owned(), chunk.clone()),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", chunk.len()), chunk.clone()),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n".to_owned(), format!("0\r\n\r\n{hidden}")),
        (format!("Content-Length: {}\r\n", hidden.len()), hidden.to_owned()),
        ("Content-Length: 0\r\n".to_owned(), hidden.to_owned()),
        (String::new(), hidden.to_owned()),
    ] {
        for connection in ["close", "keep-alive"] {
            let head =
                format!("POST /healthz HTTP/1.0\r\nHost: gateway.test\r\nConnection: {connection}\r\n");
            let mut stream = TcpStream::connect(("127.0.0.1", envoy.port)).expect("connection");
            let last = get("/v1/last", "Connection: close\r\n");
            stream.write_all(format!("{head}{lines}\r\n{body}{last}").as_bytes()).expect("sent");
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text);
            let all = upstream.take();
            // What is plain to read goes on, and only that.
            let plain = lines == format!("Content-Length: {}\r\n", hidden.len());
            assert!(!plain || all.len() == 1, "{all:?}");
            for arrived in all {
                assert!(!arrived.target.contains("smuggled"), "{lines:?}: {arrived:?}");
            }
        }
    }
}
