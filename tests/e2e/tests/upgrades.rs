//! Upgrades and preflights without a key: on one Envoy and on two in a row, where the first makes CONNECT of an upgrade and the
//! second GET, before an upstream that takes any method and one that takes GET. Nothing without a key gets a connection of
//! another kind, nor a byte through one.

#[allow(dead_code, reason = "the attacks on the wire use the rest")]
#[path = "wire/frames.rs"]
mod frames;
#[path = "upgrades/path.rs"]
mod path;
#[path = "upgrades/sockets.rs"]
mod sockets;

use std::{
    io::{Read, Write as _},
    net::TcpStream,
};

use flamegate_e2e::{DEADLINE, Request, eventually, http1::Connection};
use frames::{END_HEADERS, END_STREAM, block, frame, preface};
use path::{KEY, OPENS, Path, READS, WAYS, Way};
use sockets::{HEARD, Manner};

/// Ways to ask for another protocol, as HTTP/1.1 lines.
const KINDS: [(&str, &str); 11] = [
    ("websocket", "connection: upgrade\r\nupgrade: websocket\r\n"),
    ("capital letters", "Connection: Upgrade\r\nUpgrade: WebSocket\r\n"),
    ("other connection options", "connection: keep-alive, Upgrade\r\nupgrade: websocket\r\n"),
    ("another protocol", "connection: upgrade\r\nupgrade: tunnel\r\n"),
    ("another protocol in capitals", "connection: UPGRADE\r\nupgrade: TUNNEL\r\n"),
    ("several protocols", "connection: upgrade\r\nupgrade: websocket, tunnel\r\n"),
    ("a protocol with its version", "connection: upgrade\r\nupgrade: websocket/13\r\n"),
    ("two lines", "connection: upgrade\r\nupgrade: websocket\r\nupgrade: websocket\r\n"),
    ("an empty line first", "connection: upgrade\r\nupgrade:\r\nupgrade: websocket\r\n"),
    ("h2c", "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"),
    ("no connection option", "upgrade: websocket\r\n"),
];

const PREFLIGHT: &str = "origin: https://app.example\r\naccess-control-request-method: GET\r\n";

/// What a request without a key dresses as: method, target, headers.
const DRESSES: [(&str, &str, &str); 9] = [
    ("GET", "/v1/socket", ""),
    ("OPTIONS", "/v1/socket", PREFLIGHT),
    ("GET", "/v1/socket", PREFLIGHT),
    ("GET", "/open/socket", ""),
    ("POST", "/open/socket", ""),
    ("OPTIONS", "/open/socket", PREFLIGHT),
    ("OPTIONS", "/socket/x", PREFLIGHT),
    // The rule says POST; behind another hop it would be GET.
    ("POST", "/post", ""),
    ("OPTIONS", "/post", PREFLIGHT),
];

const FRAME_HEADERS: u8 = 1;
const FRAME_RESET: u8 = 3;
const FRAME_GOAWAY: u8 = 7;

/// A connection that has sent this.
fn send(port: u16, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("timeout");
    stream.write_all(bytes).expect("sent");
    stream
}

/// Reads until the gateway has said this, or has no more to say.
fn hears(stream: &mut TcpStream, text: &[u8]) -> bool {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut part) {
        all.extend_from_slice(&part[..count]);
        if all.windows(text.len()).any(|window| window == text) {
            return true;
        }
    }
    false
}

#[test]
fn an_upgrade_without_a_key_gets_nowhere() {
    for way in WAYS {
        let path = Path::start(way);
        for (kind, lines) in KINDS {
            for (method, target, dress) in DRESSES {
                let what = format!("{kind}: {method} {target} {dress:?}");
                let head = format!("{method} {target} HTTP/1.1\r\nhost: gateway.test\r\n{dress}{lines}\r\n");
                let mut connection = Connection::open(path.gateway.port).expect("connection");
                // Bytes of the other protocol come at once, before anybody has agreed to it.
                connection.send_bytes(&[head.as_bytes(), b"ping"].concat()).expect("sent");
                let (status, _) = connection.read_head().unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(matches!(status, 200 | 400..), "{}: {what}: {status}", path.about);
                path.judge(&what);
            }
        }
    }
}

#[test]
fn an_upgrade_with_a_key_or_by_a_rule_that_says_so_works() {
    for way in WAYS {
        let path = Path::start(way);
        let [bearer, opens, reads] =
            [KEY, OPENS.0, READS.0].map(|key| format!("authorization: Bearer {key}\r\n"));
        let asks = [
            ("GET", "/v1/socket", bearer.as_str()),
            ("GET", "/v1/socket", opens.as_str()),
            ("GET", "/open/socket", bearer.as_str()),
            ("GET", "/socket", ""),
        ];
        for (kind, lines) in &KINDS[..4] {
            for (method, target, more) in asks {
                let what = format!("{}: {kind}: {method} {target}", path.about);
                let head = format!("{method} {target} HTTP/1.1\r\nhost: gateway.test\r\n{more}{lines}\r\n");
                let mut connection = Connection::open(path.gateway.port).expect("connection");
                connection.send_bytes(head.as_bytes()).expect("sent");
                let status = connection.read_head().expect("head").0;
                assert_eq!(status, 101, "{what}");
                connection.send_bytes(b"ping").expect("sent");
                let answer = connection.read_exactly(HEARD.len() + 4).expect("an answer");
                assert_eq!(answer, [HEARD, b"ping"].concat(), "{what}");
            }
            path.upstream.take();
            // What comes through a socket has no method: a key that may only read opens none.
            let refused = [
                ("GET", "/v1/socket", reads.as_str()),
                ("POST", "/v1/socket", &opens),
                ("GET", "/open/socket", &opens),
            ];
            for (method, target, more) in refused {
                let what = format!("{}: {kind}: {method} {target} {more}", path.about);
                let head = format!("{method} {target} HTTP/1.1\r\nhost: gateway.test\r\n{more}{lines}\r\n");
                let mut connection = Connection::open(path.gateway.port).expect("connection");
                connection.send_bytes(&[head.as_bytes(), b"ping"].concat()).expect("sent");
                assert_eq!(connection.read_head().expect("head").0, 403, "{what}");
                assert!(path.upstream.take().is_empty(), "{what}");
            }
        }
    }
}

/// Envoy passes the client's `Connection` on with an upgrade, and the next hop removes what is named in it.
#[test]
fn an_upgrade_names_no_header_for_the_next_hop_to_remove() {
    let path = Path::start((Way::Direct, Manner::Naive));
    for named in
        ["Upgrade, x-flametalk-key-id, x-flametalk-workspace-id", "x-flametalk-key-id,upgrade", "UPGRADE"]
    {
        let head = format!(
            "GET /v1/socket HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer {KEY}\r\nconnection: {named}\r\nupgrade: websocket\r\n\r\n"
        );
        let mut connection = Connection::open(path.gateway.port).expect("connection");
        connection.send_bytes(head.as_bytes()).expect("sent");
        assert_eq!(connection.read_head().expect("head").0, 101, "{named}");
        let arrived: Vec<_> = path.upstream.take().into_iter().map(|request| request.connection).collect();
        assert_eq!(arrived, [Some("upgrade".to_owned())], "{named}");
    }
}

/// Extended CONNECT (RFC 8441), with which HTTP/2 asks for another protocol, and a byte behind it.
fn extended_connect(protocol: &str, target: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "http"),
        (":path", target),
        (":authority", "gateway.test"),
    ];
    let headers = block(&[&own[..], more].concat());
    [preface(), frame(FRAME_HEADERS, END_HEADERS, 1, &headers), frame(0, 0, 1, b"ping")].concat()
}

/// Reads until stream 1 has an answer or an end.
fn first_answer(stream: &mut TcpStream) -> Option<u8> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        std::io::copy(&mut stream.take(length.into()), &mut std::io::sink()).ok()?;
        let of_stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) == 1;
        if head[3] == FRAME_GOAWAY || (of_stream && matches!(head[3], FRAME_HEADERS | FRAME_RESET)) {
            return Some(head[3]);
        }
    }
}

#[test]
fn extended_connect_is_an_upgrade() {
    let preflight = [("origin", "https://app.example"), ("access-control-request-method", "GET")];
    let bearer = format!("Bearer {KEY}");
    let key = [("authorization", bearer.as_str())];
    for way in WAYS {
        let path = Path::start(way);
        for protocol in ["websocket", "WebSocket", "tunnel", "connect-udp", "h2c"] {
            for target in ["/v1/socket", "/open/socket", "/post"] {
                for more in [&[][..], &preflight] {
                    let what = format!("{protocol} {target} {more:?}");
                    let mut stream = send(path.gateway.port, &extended_connect(protocol, target, more));
                    assert!(first_answer(&mut stream).is_some(), "{}: {what}: no answer", path.about);
                    path.judge(&what);
                }
            }
        }
        for (target, more) in [("/v1/socket", &key[..]), ("/socket", &[])] {
            let mut stream = send(path.gateway.port, &extended_connect("websocket", target, more));
            assert!(hears(&mut stream, &[HEARD, b"ping"].concat()), "{}: {target}", path.about);
            let arrived = path.upstream.take();
            assert!(matches!(&arrived[..], [one] if one.method == "GET"), "{}: {arrived:?}", path.about);
        }
    }
}

/// Preflights over HTTP/1.1 with what comes behind the head, and whether they end with it.
const BODIES: [(&str, bool); 8] = [
    ("\r\n", true),
    ("content-length: 0\r\n\r\n", true),
    ("content-length: 00\r\n\r\n", true),
    ("content-length: 4\r\n\r\nbody", false),
    ("content-length: 4\r\nexpect: 100-continue\r\n\r\nbody", false),
    ("transfer-encoding: chunked\r\n\r\n0\r\n\r\n", false),
    ("transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", false),
    ("transfer-encoding: chunked\r\n\r\n0\r\nx-trailer: y\r\n\r\n", false),
];

/// What a client sees, and the counters that say why.
#[test]
fn a_preflight_ends_with_its_headers() {
    let path = Path::start((Way::Direct, Manner::Naive));
    for (rest, passes) in BODIES {
        let head = format!("OPTIONS /v1/agents HTTP/1.1\r\nhost: gateway.test\r\n{PREFLIGHT}{rest}");
        let mut stream = send(path.gateway.port, head.as_bytes());
        let status: &[u8] = if passes { b"HTTP/1.1 200 OK" } else { b"HTTP/1.1 401 Unauthorized" };
        assert!(hears(&mut stream, status), "{rest:?}");
        assert_eq!(path.upstream.take().len(), usize::from(passes), "{rest:?}");
    }
    let headers = block(&[
        (":method", "OPTIONS"),
        (":scheme", "http"),
        (":path", "/v1/agents"),
        (":authority", "gateway.test"),
        ("origin", "https://app.example"),
        ("access-control-request-method", "GET"),
    ]);
    let open = frame(FRAME_HEADERS, END_HEADERS, 1, &headers);
    let behind: [(&str, Vec<u8>); 4] = [
        ("an empty frame", [&open[..], &frame(0, END_STREAM, 1, b"")].concat()),
        ("data", [&open[..], &frame(0, END_STREAM, 1, b"body")].concat()),
        ("trailers", [&open[..], &frame(1, END_STREAM | END_HEADERS, 1, &block(&[("x", "y")]))].concat()),
        ("nothing yet", open.clone()),
    ];
    for (what, frames) in &behind {
        let mut stream = send(path.gateway.port, &[&preface()[..], frames].concat());
        assert!(hears(&mut stream, b"UNAUTHORIZED"), "{what}");
        assert_eq!(path.upstream.take().len(), 0, "{what}");
    }
    let whole = frame(FRAME_HEADERS, END_STREAM | END_HEADERS, 1, &headers);
    let mut stream = send(path.gateway.port, &[&preface()[..], &whole].concat());
    assert_eq!(first_answer(&mut stream), Some(FRAME_HEADERS));
    assert_eq!(path.upstream.take().len(), 1, "HEADERS that end the stream");
    let refused = BODIES.iter().filter(|(_, passes)| !passes).count() + behind.len();
    eventually("the counters", || {
        let metrics = path.gateway.metrics();
        let counts = (
            metrics.requests("unauthorized", "preflight_body"),
            metrics.requests("bypassed", "preflight"),
            metrics.all_requests(),
        );
        let passed = BODIES.len() + behind.len() + 1 - refused;
        if counts == (refused as u64, passed as u64, (refused + passed) as u64) {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    });
    // With a key it is a request like any other, body or not.
    let request = Request::new("OPTIONS", "/v1/agents").bearer(KEY).body("body");
    assert_eq!(path.gateway.send(&request).status, 200);
}
