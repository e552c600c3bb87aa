//! Open streams end with their key, on every worker and however many they are; other keys' streams and requests go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use flamegate_e2e::{
    DEADLINE, Plugin, Protocol, Request, Stack, control::NewKey, eventually, http1::Connection,
};
use h2::client;
use serde_json::json;
use tokio::{net::TcpStream, runtime, task::JoinHandle, time};

/// Streams of the key that is revoked.
const MANY: usize = 5_000;
/// The HTTP/2 library takes many more small frames on one connection for an attack.
const PER_CONNECTION: usize = 50;
/// For everything together.
const PATIENCE: Duration = Duration::from_secs(600);

/// A stack whose circuit breakers let through as many requests as the test opens.
fn wide_stack(name: &str) -> Stack {
    let wide = "    - name: upstream\n      circuit_breakers: { thresholds: [{ max_connections: 20000, \
                max_requests: 20000, max_pending_requests: 20000 }] }\n";
    Stack::start_changed(name, &Plugin::singleton(json!({})), |text| {
        text.replacen("    - name: upstream\n", wide, 1)
    })
}

/// Opens event streams over HTTP/2. Each is read by a task that is over when the stream is, in order or by a reset, and
/// counts events until then.
async fn open(port: u16, key: &NewKey, count: usize) -> Vec<(JoinHandle<()>, Arc<AtomicU64>)> {
    let mut streams = Vec::new();
    while streams.len() < count {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.expect("connection");
        let (sender, connection) = client::handshake(tcp).await.expect("HTTP/2");
        tokio::spawn(connection);
        for _ in 0..PER_CONNECTION.min(count - streams.len()) {
            let request = http::Request::get("http://gateway.test/v1/events")
                .header("authorization", format!("Bearer {}", key.key))
                .body(())
                .expect("request");
            let mut ready = sender.clone().ready().await.expect("room for a stream");
            let answer = ready.send_request(request, true).expect("request").0;
            let events = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&events);
            let task = tokio::spawn(async move {
                let answer = answer.await.expect("answer");
                assert_eq!(answer.status(), 200, "{answer:?}");
                let mut body = answer.into_body();
                while let Some(Ok(data)) = body.data().await {
                    drop(body.flow_control().release_capacity(data.len()));
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            });
            streams.push((task, events));
        }
    }
    for (task, events) in &streams {
        another_event(task, events, 0).await;
    }
    streams
}

/// Waits until a stream has had more events than `before`.
async fn another_event(task: &JoinHandle<()>, events: &AtomicU64, before: u64) {
    while events.load(Ordering::Relaxed) <= before {
        assert!(!task.is_finished(), "the stream has ended");
        time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn five_thousand_streams_of_one_key_end_and_nobody_else_notices() {
    let stack = wide_stack("many-streams");
    let (doomed, kept) = (stack.accepted_key("live"), stack.accepted_key("live"));
    let port = stack.envoy.port;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let work = async {
        let others = open(port, &kept, 20).await;
        let many = open(port, &doomed, MANY).await;
        let over = Arc::new(AtomicBool::new(false));
        let (stop, key) = (Arc::clone(&over), kept.key.clone());
        let asker = thread::spawn(move || {
            let request = Request::get("/v1/agents").bearer(&key);
            let mut asked = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(request.send(Protocol::Http1, port).expect("answer").status, 200);
                asked += 1;
            }
            asked
        });
        // Without waiting for the receipt: nobody would read the streams meanwhile.
        stack.control.revoke(&doomed.id, "0s");
        for (task, _) in many {
            task.await.expect("a stream that was open ends");
        }
        over.store(true, Ordering::Relaxed);
        assert!(asker.join().expect("the other client") > 0);
        for (task, events) in &others {
            another_event(task, events, events.load(Ordering::Relaxed)).await;
        }
    };
    runtime.block_on(async { time::timeout(PATIENCE, work).await.expect("all streams end in time") });
    let metrics = eventually("all of them are counted", || {
        let metrics = stack.envoy.metrics();
        let ended = metrics.value("flamegate_streams_ended_total").unwrap_or(0.0);
        if ended >= MANY as f64 { Ok(metrics) } else { Err(ended.to_string()) }
    });
    for (name, value) in metrics.iter().filter(|(name, _)| name.contains("vm_reload")) {
        assert!(value == 0.0, "{name} is {value}");
    }
}

fn events(stack: &Stack, key: &NewKey) -> Connection {
    let mut connection = Connection::open(stack.envoy.port).expect("connection");
    let request = Request::get("/v1/events").bearer(&key.key);
    connection.send_bytes(&flamegate_e2e::http1::encode(&request)).expect("request");
    assert_eq!(connection.read_head().expect("head").0, 200);
    assert!(connection.read_chunk().expect("an event").is_some());
    connection
}

#[test]
fn a_stream_ends_when_its_key_expires() {
    let stack = Stack::start("stream-expiry", &Plugin::singleton(json!({})));
    let (kept, doomed) = (stack.accepted_key("live"), stack.accepted_key("live"));
    let (mut going_on, mut ending) = (events(&stack, &kept), events(&stack, &doomed));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let path = format!("/v1/api-keys/{}", doomed.id);
    stack.control.data("PATCH", &path, Some(&json!({"expires_at": now + 2})));
    let begin = Instant::now();
    while matches!(ending.read_chunk(), Ok(Some(_))) {
        assert!(begin.elapsed() < DEADLINE, "still open");
    }
    assert!(going_on.read_chunk().expect("an event").is_some());
}

#[test]
fn streams_go_on_when_the_configuration_says_so() {
    let stack = Stack::start("streams-go-on", &Plugin::singleton(json!({"end_streams": false})));
    let key = stack.accepted_key("live");
    let mut stream = events(&stack, &key);
    stack.control.revoke(&key.id, "30s");
    stack.wait_for_status(&key.key, 401);
    for _ in 0..3 {
        assert!(stream.read_chunk().expect("an event after the revocation").is_some());
    }
}
