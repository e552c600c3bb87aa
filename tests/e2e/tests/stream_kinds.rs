//! WebSockets and gRPC streams end with their key on every worker, by revocation and by expiry; other keys' go on. (Event
//! streams, and thousands of them: `streams.rs`.)

use std::{
    io,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use flamegate_e2e::{
    DEADLINE, Plugin, Request, Stack,
    control::NewKey,
    eventually,
    http1::{Connection, encode},
};
use h2::{RecvStream, client};
use serde_json::json;
use tokio::{net::TcpStream, runtime, time};

/// gRPC connections: enough that each worker has some of them.
const GRPC_CONNECTIONS: usize = 12;

fn upgrade(key: &str) -> Request {
    Request::get("/v1/socket")
        .bearer(key)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// A WebSocket on each worker that has heard something already.
fn sockets(stack: &Stack, key: &NewKey) -> Vec<Connection> {
    let mut connections = stack.envoy.connection_to_each_worker();
    for connection in &mut connections {
        connection.send_bytes(&encode(&upgrade(&key.key))).expect("request");
        assert_eq!(connection.read_head().expect("head").0, 101);
        hear(connection).expect("a message");
    }
    connections
}

/// One short message of the server's (RFC 6455 section 5.2: no mask, the length in seven bits).
fn hear(connection: &mut Connection) -> io::Result<Vec<u8>> {
    let head = connection.read_exactly(2)?;
    assert_eq!((head[0], head[1] < 126), (0x81, true), "a short text");
    connection.read_exactly(usize::from(head[1]))
}

/// Listens until the end. The upstream says something every second, for ever.
fn listen_until_the_end(connection: &mut Connection) {
    let begin = Instant::now();
    let end = loop {
        match hear(connection) {
            Ok(_) => assert!(begin.elapsed() < DEADLINE, "it goes on"),
            Err(error) => break error,
        }
    };
    assert!(!matches!(end.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "silence: {end}");
}

fn expire_soon(stack: &Stack, key: &NewKey) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    stack.control.data("PATCH", &format!("/v1/api-keys/{}", key.id), Some(&json!({"expires_at": now + 2})));
}

fn revoke(stack: &Stack, key: &NewKey) {
    let receipt = stack.control.revoke(&key.id, "30s");
    assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(1), &json!(1)), "{receipt}");
}

fn assert_ended(stack: &Stack, least: f64) {
    let metrics = eventually("the ended streams are counted", || {
        let metrics = stack.envoy.metrics();
        let ended = metrics.value("flamegate_streams_ended_total").unwrap_or(0.0);
        if ended >= least { Ok(metrics) } else { Err(format!("{ended} of {least}")) }
    });
    for (name, value) in metrics.iter().filter(|(name, _)| name.contains("vm_reload")) {
        assert!(value == 0.0, "{name} is {value}");
    }
}

#[test]
fn websockets_end_with_their_key() {
    let stack = Stack::start("websockets", &Plugin::singleton(json!({})));
    let [revoked, expired, kept] = [(); 3].map(|()| stack.accepted_key("live"));
    for key in ["sk_live_nobody", ""] {
        let answer = stack.envoy.send(&upgrade(key));
        assert_eq!(answer.status, 401, "an upgrade is a request like any other: {}", answer.text());
    }
    let [mut ending, mut expiring, mut going_on] =
        [&revoked, &expired, &kept].map(|key| sockets(&stack, key));
    revoke(&stack, &revoked);
    ending.iter_mut().for_each(listen_until_the_end);
    expire_soon(&stack, &expired);
    expiring.iter_mut().for_each(listen_until_the_end);
    for connection in &mut going_on {
        for _ in 0..2 {
            hear(connection).expect("another key's socket goes on");
        }
    }
    assert_ended(&stack, 4.0);
}

/// Open calls, each on a connection of its own, that have had a message already.
async fn calls(port: u16, key: &NewKey) -> Vec<RecvStream> {
    let mut open = Vec::new();
    for _ in 0..GRPC_CONNECTIONS {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.expect("connection");
        let (mut sender, connection) = client::handshake(tcp).await.expect("HTTP/2");
        tokio::spawn(connection);
        let request = http::Request::post("http://gateway.test/flametalk.v1.Events/Watch")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {}", key.key))
            .body(())
            .expect("request");
        let answer = sender.send_request(request, true).expect("request").0.await.expect("answer");
        assert_eq!((answer.status().as_u16(), answer.headers().get("grpc-status")), (200, None));
        let mut body = answer.into_body();
        assert!(listen(&mut body).await, "a message at once");
        open.push(body);
    }
    open
}

/// True when a message has come, false when the call is over.
async fn listen(body: &mut RecvStream) -> bool {
    match body.data().await {
        Some(Ok(data)) => {
            assert_eq!(data[0], 0, "a gRPC message");
            drop(body.flow_control().release_capacity(data.len()));
            true
        }
        _ => false,
    }
}

/// The time limit for the whole test is the one for this.
async fn hear_the_end(body: &mut RecvStream) {
    while listen(body).await {}
}

#[test]
fn grpc_streams_end_with_their_key() {
    let stack = Stack::start("grpc-streams", &Plugin::singleton(json!({})));
    let [revoked, expired, kept] = [(); 3].map(|()| stack.accepted_key("live"));
    let port = stack.envoy.port;
    let before = stack.envoy.connections_by_worker();
    let runtime =
        runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
    let work = async {
        let mut ending = calls(port, &revoked).await;
        let (mut expiring, mut going_on) = (calls(port, &expired).await, calls(port, &kept).await);
        let after = stack.envoy.connections_by_worker();
        assert!(before.iter().zip(&after).all(|(before, after)| before < after), "{before:?} {after:?}");
        revoke(&stack, &revoked);
        for body in &mut ending {
            hear_the_end(body).await;
        }
        expire_soon(&stack, &expired);
        for body in &mut expiring {
            hear_the_end(body).await;
        }
        for body in &mut going_on {
            // What has come meanwhile, and what comes now.
            for _ in 0..6 {
                assert!(listen(body).await, "another key's call goes on");
            }
        }
    };
    runtime.block_on(async { time::timeout(3 * DEADLINE, work).await.expect("all streams end in time") });
    assert_ended(&stack, 2.0 * GRPC_CONNECTIONS as f64);
}
