//! Connections between two requests, on real sockets: a balancer keeps them, and takes one whenever it likes.

use std::net::SocketAddr;
use std::time::Duration;

use flamegate_control::config::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::common::{Answer, Control, PATIENCE, SYNC, eventually};

const LONG: Duration = Duration::from_secs(3_600);
/// A request is sent well within this, but see [`kept`].
const SHORT: Duration = Duration::from_millis(500);
const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends bytes and returns the head and body of one answer.
async fn ask(stream: &mut TcpStream, bytes: &[u8]) -> String {
    try_ask(stream, bytes).await.expect("an answer")
}

/// The same; `None` when the other end closes instead.
async fn try_ask(stream: &mut TcpStream, bytes: &[u8]) -> Option<String> {
    stream.write_all(bytes).await.ok()?;
    let (mut answer, mut part) = (Vec::new(), [0; 4_096]);
    while !answer.ends_with(b"}") && !answer.ends_with(b"\n# EOF\n") {
        let number = timeout(PATIENCE, stream.read(&mut part)).await.expect("an answer or the end").ok()?;
        if number == 0 {
            return None;
        }
        answer.extend_from_slice(&part[..number]);
    }
    Some(String::from_utf8(answer).unwrap())
}

/// A connection on which something was answered. One whose first head is late, because the machine was busy, is closed.
async fn kept(address: SocketAddr) -> TcpStream {
    let answered = async {
        loop {
            let mut stream = connect(address).await;
            if try_ask(&mut stream, ASK).await.is_some() {
                return stream;
            }
        }
    };
    timeout(PATIENCE, answered).await.expect("one is in time")
}

/// Waits until the other end closes, without having said anything more.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed");
    assert!(end.is_err() || rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
}

async fn with_times(header: Duration, idle: Duration) -> Control {
    Control::tuned(|config| (config.header_timeout, config.idle_timeout) = (header, idle)).await
}

fn listeners(control: &Control) -> [SocketAddr; 2] {
    [control.server.address, control.server.metrics_address.unwrap()]
}

/// With a listener for metrics, which is to do the same.
async fn with_two_listeners(change: impl FnOnce(&mut Config)) -> Control {
    Control::tuned(|config| {
        config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
        change(config);
    })
    .await
}

#[tokio::test]
async fn a_connection_waits_for_longer_than_a_balancer_keeps_it() {
    let control = Control::tuned(|config| assert!(config.idle_timeout > Duration::from_secs(60))).await;
    drop(control);
    let control = with_two_listeners(|config| config.header_timeout = SHORT).await;
    for address in listeners(&control) {
        let mut kept = kept(address).await;
        // One that came later and says nothing has had its time, several times over.
        for _ in 0..3 {
            closed(&mut connect(address).await).await;
        }
        assert!(ask(&mut kept, ASK).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn idle_connections_end_after_their_time() {
    let control = with_two_listeners(|config| {
        (config.header_timeout, config.idle_timeout) = (LONG, SHORT);
    })
    .await;
    for address in listeners(&control) {
        let mut idle = connect(address).await;
        ask(&mut idle, ASK).await;
        closed(&mut idle).await;
    }
    eventually("their places are free", || control.server.app.connections.census().open == [0; 4]).await;
}

#[tokio::test]
async fn a_head_has_its_own_time_however_it_trickles() {
    let control = with_times(SHORT, LONG).await;
    for asked_before in [false, true] {
        let address = control.server.address;
        let slow = if asked_before { kept(address).await } else { connect(address).await };
        let (mut answers, mut bytes) = slow.into_split();
        let trickle = tokio::spawn(async move {
            // The connection's end shows when it is written to.
            while bytes.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        });
        let mut rest = Vec::new();
        let end = timeout(PATIENCE, answers.read_to_end(&mut rest)).await.expect("it is closed");
        assert!(end.is_err() || rest.is_empty(), "{asked_before}");
        timeout(PATIENCE, trickle).await.expect("the connection is closed").unwrap();
    }
}

#[tokio::test]
async fn who_sent_a_request_before_it_could_know_of_the_end_is_answered() {
    let control = with_two_listeners(|config| config.shutdown_drain = LONG).await;
    let mut kept = Vec::new();
    for address in listeners(&control) {
        kept.push(connect(address).await);
        ask(kept.last_mut().unwrap(), ASK).await;
    }
    let addresses = listeners(&control);
    control.server.app.begin_shutdown();
    let server = control.server;
    let down = tokio::spawn(server.stop());
    for address in addresses {
        kept.push(connect(address).await);
    }
    for stream in &mut kept {
        let answer = ask(stream, ASK).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
        closed(stream).await;
    }
    // Nobody is there any more, so it does not wait to the end.
    timeout(PATIENCE, down).await.expect("it is down").unwrap();
}

#[tokio::test]
async fn a_poll_that_comes_while_it_goes_down_is_to_come_later() {
    let control = Control::tuned(|config| config.shutdown_drain = LONG).await;
    let poll = async || {
        let request = control.http.get(control.url("/sync/v1/changes?gateway=gw-1")).bearer_auth(SYNC);
        Answer::of(request).await
    };
    assert_eq!(poll().await.status, 200);
    control.server.app.begin_shutdown();
    let answer = poll().await;
    assert_eq!(answer.headers["connection"], "close");
    answer.refused(503, "UNAVAILABLE");
}
