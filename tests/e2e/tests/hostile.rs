//! Ten thousand requests from someone who wants to break it: no worker's VM may die, nothing may pass, and every 5xx
//! has to be one of ours. The requests come from a seed (`FLAMEGATE_HOSTILE_SEED`), so a failure can be repeated.

use std::{env, io, thread, time::Duration};

use flamegate_e2e::{
    Answer, Plugin, Request, Stack,
    http1::{Connection, encode},
    http2,
    metrics::Metrics,
    random::Random,
};
use serde_json::json;

const REQUESTS: usize = 10_000;
const CONNECTIONS: usize = 4;
/// A changed byte may turn a request into the beginning of a longer one, which is never answered. Long enough that a busy
/// machine answers nearly all others.
const PATIENCE: Duration = Duration::from_secs(3);

/// What mutation starts from. None of them holds a valid key.
const SEEDS: [&str; 12] = [
    "Bearer sk_live_0000000000000000000000000000000000001a",
    "Bearer sk_test_",
    "bearer\tsk_live_x",
    "Bearer ",
    "Basic dXNlcjpwYXNz",
    "Bearer sk_live_a, Bearer sk_live_b",
    "Bearer \u{feff}sk_live_x",
    "Digest username=\"x\", realm=\"flametalk\"",
    "",
    "Bearer sk_live_%00%0d%0a",
    "Bearer ${jndi:ldap://x}",
    "Negotiate TlRMTVNTUAAB",
];

const METHODS: [&str; 8] = ["GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH", "TRACE"];

const PATHS: [&str; 14] = [
    "/v1/agents",
    "/healthz/../v1/agents",
    "/public/..%2f..%2fv1/agents",
    "/public/%2e%2e/v1/agents",
    "/public//../v1/agents",
    "//",
    "/",
    "*",
    "/v1/agents?%ff%fe",
    "/v1/agents#fragment",
    "/public\\..\\v1\\agents",
    "/healthz%00",
    "/%",
    "http://other.test/v1/agents",
];

const NAMES: [&str; 10] = [
    "x-flametalk-key-id",
    "x-flametalk-workspace-id",
    "x-flametalk-",
    "origin",
    "access-control-request-method",
    "content-type",
    "te",
    "x-envoy-original-path",
    "cookie",
    "x-junk",
];

/// Sends this many hostile requests and answers with how many got an answer.
type Attack = fn(u16, Random, usize) -> usize;

#[test]
fn nothing_breaks_over_http1() {
    let answered = withstand("hostile-http1", attack_http1, REQUESTS);
    assert!(answered > REQUESTS * 9 / 10, "only {answered} of {REQUESTS} were answered");
}

#[test]
fn nothing_breaks_over_http2() {
    let answered = withstand("hostile-http2", attack_http2, REQUESTS);
    assert!(answered > REQUESTS * 9 / 10, "only {answered} of {REQUESTS} were answered");
}

fn withstand(name: &str, attack: Attack, requests: usize) -> usize {
    let seed =
        env::var("FLAMEGATE_HOSTILE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_260_101);
    let mut stack = Stack::start(name, &Plugin::singleton(json!({})));
    let key = stack.accepted_key("live");
    // Requests of before the first table are counted at the next tick.
    stack.envoy.wait_for_ticks();
    let before = stack.envoy.metrics();
    let port = stack.envoy.port;
    let answered = thread::scope(|scope| {
        let start =
            |number| scope.spawn(move || attack(port, Random::new(seed + number), requests / CONNECTIONS));
        let attackers: Vec<_> = (0..CONNECTIONS as u64).map(start).collect();
        attackers.into_iter().map(|attacker| attacker.join().expect("attacker")).sum()
    });
    println!("{name}, seed {seed}: {answered} of {requests} requests were answered");
    stack.envoy.assert_alive();
    // Good clients have noticed nothing, on any worker.
    stack.wait_for_status(&key.key, 200);
    stack.envoy.wait_for_ticks();
    let metrics = stack.envoy.metrics();
    for (name, value) in metrics.iter().filter(|(name, _)| name.contains("vm_reload")) {
        assert!(value == 0.0, "{name} is {value}");
    }
    let unavailable = |metrics: &Metrics| metrics.requests("unavailable", "not_synced");
    assert_eq!(unavailable(&metrics), unavailable(&before), "the gateway was synced all the time");
    let log = stack.envoy.log();
    for word in ["panicked", "Uncaught", "proxy_abi", "wasm_fail_stream", "[critical]"] {
        assert!(!log.contains(word), "Envoy's log says {word:?}");
    }
    answered
}

fn attack_http1(port: u16, mut random: Random, requests: usize) -> usize {
    let mut connection = None;
    let mut answered = 0;
    for number in 0..requests {
        let request = hostile(&mut random);
        let sent =
            connection.take().map_or_else(|| Connection::open(port), Ok).and_then(|mut open: Connection| {
                let answer = exchange(&mut open, &request, &mut random)?;
                let close =
                    answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
                connection = (!close).then_some(open);
                Ok(answer)
            });
        // Envoy closes the connection of a client that speaks no HTTP; that is an answer too.
        if let Ok(answer) = sent {
            judge(&request, &answer, number);
            answered += 1;
        }
    }
    answered
}

fn attack_http2(port: u16, mut random: Random, requests: usize) -> usize {
    let mut answered = 0;
    let mut connection = None;
    for number in 0..requests {
        let request = for_http2(hostile(&mut random));
        let mut open =
            connection.take().unwrap_or_else(|| http2::Connection::open(port).expect("connection"));
        // An error is a stream or a connection that Envoy resets.
        if let Ok(answer) = open.send(&request) {
            judge(&request, &answer, number);
            answered += 1;
            connection = Some(open);
        }
    }
    answered
}

/// Without what our HTTP/2 library refuses to send. (Byte-exact rubbish goes over HTTP/1.1.)
fn for_http2(mut request: Request) -> Request {
    if !request.path.starts_with('/') {
        request.path.insert(0, '/');
    }
    request.headers.retain(|(name, _)| name != "te");
    for byte in request.headers.iter_mut().flat_map(|(_, value)| value) {
        if byte.is_ascii_control() && *byte != b'\t' {
            *byte = 0x80;
        }
    }
    request
}

fn exchange(connection: &mut Connection, request: &Request, random: &mut Random) -> io::Result<Answer> {
    connection.set_timeout(PATIENCE)?;
    let mut bytes = encode(request);
    if random.below(20) == 0 {
        let at = random.below(bytes.len());
        bytes[at] = u8::try_from(random.below(256)).expect("a byte");
    }
    connection.send_bytes(&bytes)?;
    connection.read_answer(request.method == "HEAD")
}

/// What may come back: a refusal of ours, one of Envoy's own for what is no HTTP, or the bypass that is configured.
fn judge(request: &Request, answer: &Answer, number: usize) {
    let about = || {
        format!(
            "request {number}: {} {} got {} {}",
            request.method,
            request.path,
            answer.status,
            answer.text()
        )
    };
    match answer.status {
        400 | 401 | 404 | 405 | 413 | 426 | 431 | 501 => {}
        200 => {
            // gRPC refusals, preflights and bypassed paths. None of them may carry an identity.
            assert!(!answer.text().contains("x-flametalk-"), "an identity without a key: {}", about());
        }
        status => panic!("unexpected status {status}: {}", about()),
    }
}

fn hostile(random: &mut Random) -> Request {
    let mut request = Request::new(random.pick(&METHODS), random.pick(&PATHS));
    for _ in 0..random.below(4) {
        request = request.header("authorization", mutated(random));
    }
    for _ in 0..random.below(4) {
        let name = random.pick(&NAMES);
        let value = if random.below(3) == 0 { b"application/grpc".to_vec() } else { mutated(random) };
        request = request.header(name, value);
    }
    if random.below(50) == 0 {
        request = request.header("x-large", vec![b'x'; random.below(70_000)]);
    }
    if random.below(100) == 0 {
        for number in 0..random.below(130) {
            request = request.header(&format!("x-flametalk-{number}"), "x");
        }
    }
    request
}

/// A header value: one of the seeds with a few bytes changed, added or removed. Never a line break, which would be
/// another header.
fn mutated(random: &mut Random) -> Vec<u8> {
    let mut value = random.pick(&SEEDS).as_bytes().to_vec();
    for _ in 0..random.below(5) {
        let byte = match u8::try_from(random.below(256)).expect("a byte") {
            b'\r' | b'\n' | 0 => 0xff,
            byte => byte,
        };
        let at = random.below(value.len() + 1);
        match random.below(3) {
            0 => value.insert(at, byte),
            1 if at < value.len() => value[at] = byte,
            2 if at < value.len() => drop(value.remove(at)),
            _ => value.extend(std::iter::repeat_n(byte, random.below(300))),
        }
    }
    value
}
