//! Gateways that start: probes, requests that come before the first table, how many round trips that takes, hot restarts.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use flamegate_e2e::{
    Answer, Control, Envoy, Plugin, Protocol, Request,
    control::NewKey,
    envoy::{Upstreams, WORKERS},
    eventually, hot_restart, http1,
    middlebox::{Cut, Middlebox},
    process::{Folder, free_port},
    upstream::Upstream,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const READY: &str = "/.flamegate/ready";

struct Site {
    control: Control,
    upstream: Upstream,
    key: NewKey,
    folder: Folder,
}

/// A control plane with one key.
fn site(name: &str) -> Site {
    let folder = Folder::new(name);
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    let limits = json!([{"requests": 1_000_000, "window_seconds": 60}]);
    let key = control.create_key("e2e", "live", json!({"limits": limits}));
    Site { control, upstream, key, folder }
}

impl Site {
    fn upstreams(&self) -> Upstreams {
        Upstreams { upstream: self.upstream.port, control: self.control.port }
    }

    /// An Envoy whose control plane is away.
    fn envoy_alone(&mut self, more: Value) -> Envoy {
        self.control.stop();
        Envoy::start("envoy", &self.folder, &Plugin::singleton(more), self.upstreams())
    }

    fn good(&self) -> Request {
        Request::get("/v1/agents").bearer(&self.key.key)
    }
}

#[test]
fn a_probe_says_when_a_gateway_can_answer() {
    let mut site = site("readiness");
    let envoy = site.envoy_alone(json!({"readiness_path": READY, "start_hold_ms": 0}));
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let answer = envoy.send_by(protocol, &Request::get(READY));
        assert_eq!((answer.status, answer.code().as_deref()), (503, Some("UNAVAILABLE")));
    }
    assert_eq!(envoy.admin("/ready").status, 200, "Envoy itself is live");
    site.control.start();
    eventually("it is ready", || envoy.send(&Request::get(READY)).expect_status(200));
    // From now on every worker answers requests with a key.
    for connection in &mut envoy.connection_to_each_worker() {
        assert_eq!(connection.send(&site.good()).expect("answer").status, 200);
        let answer = connection.send(&Request::get(READY)).expect("answer");
        assert_eq!((answer.status, answer.json()["data"]["ready"].as_bool()), (200, Some(true)));
        assert_eq!(connection.send(&Request::new("HEAD", READY)).expect("answer").status, 200);
        assert_eq!(connection.send(&Request::get("/.flamegate/ready/x")).expect("answer").status, 401);
    }
    eventually("probes are counted", || {
        let (ready, waiting) = {
            let metrics = envoy.metrics();
            (metrics.requests("readiness", "ready"), metrics.requests("readiness", "waiting"))
        };
        if ready >= 5 && waiting >= 2 { Ok(()) } else { Err(format!("{ready} {waiting}")) }
    });
}

#[test]
fn requests_wait_for_the_first_table_and_everything_else_is_answered_at_once() {
    const EACH: usize = 60;
    let mut site = site("held");
    let envoy = site.envoy_alone(json!({"start_hold_ms": 60_000}));
    let request = |number: usize| {
        let bearer = if number.is_multiple_of(10) { "sk_live_nobody" } else { &site.key.key };
        let request = Request::new("POST", "/v1/agents").bearer(bearer);
        if number.is_multiple_of(3) { request.body(vec![b'x'; 8_000]) } else { request }
    };
    let held = || envoy.metrics().value("flamegate_held_requests_total").unwrap_or(0.0);
    // These give up before there is a table.
    let gone: Vec<_> = (0..10)
        .map(|_| {
            let mut connection = http1::Connection::open(envoy.port).expect("connection");
            connection.send_bytes(&http1::encode(&site.good())).expect("request");
            connection
        })
        .collect();
    eventually("these wait", || if held() >= 10.0 { Ok(()) } else { Err(held().to_string()) });
    drop(gone);
    thread::scope(|scope| {
        let ask = |number: usize| {
            let protocol = if number.is_multiple_of(2) { Protocol::Http1 } else { Protocol::Http2 };
            let (request, port) = (request(number), envoy.port);
            scope.spawn(move || (number, request.send(protocol, port).expect("an answer")))
        };
        let waiting: Vec<_> = (0..EACH * WORKERS).map(ask).collect();
        let all = (10 + EACH * WORKERS) as f64;
        eventually("all wait", || if held() >= all { Ok(()) } else { Err(held().to_string()) });
        assert_eq!(envoy.send(&Request::get("/v1/agents")).status, 401);
        assert_eq!(envoy.send(&Request::get("/v1/agents").bearer("nonsense")).status, 401);
        assert_eq!(envoy.send(&Request::get("/healthz")).status, 200);
        assert!(waiting.iter().all(|thread| !thread.is_finished()));
        site.control.start();
        for thread in waiting {
            let (number, answer): (usize, Answer) = thread.join().expect("a client");
            let wanted = if number.is_multiple_of(10) { 401 } else { 200 };
            assert_eq!(answer.status, wanted, "{number}: {}", answer.text());
        }
    });
    assert_eq!(held(), (10 + EACH * WORKERS) as f64, "nobody waited twice");
    let permitted = || envoy.metrics().requests("permitted", "key");
    let wanted = (EACH * WORKERS - EACH * WORKERS / 10) as u64;
    eventually(
        "each counts once",
        || if permitted() == wanted { Ok(()) } else { Err(permitted().to_string()) },
    );
}

/// An upstream that reads each body and answers with its length.
fn counting_upstream() -> u16 {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the upstream's port");
    let serve = |stream: TcpStream| -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if stream.read_line(&mut head)? == 0 {
                    return Ok(());
                }
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.expect("content-length")];
            stream.read_exact(&mut body)?;
            let text = body.iter().filter(|byte| **byte == b'x').count().to_string();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            stream.get_mut().write_all(answer.as_bytes())?;
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || drop(serve(stream)));
        }
    });
    port
}

#[test]
fn bodies_of_requests_that_waited_arrive_whole() {
    const LENGTHS: [usize; 4] = [1, 30_000, 70_000, 1_000_000];
    let mut site = site("held-bodies");
    site.control.stop();
    let upstreams = Upstreams { upstream: counting_upstream(), ..site.upstreams() };
    let plugin = Plugin::singleton(json!({"start_hold_ms": 60_000}));
    let envoy = Envoy::start("envoy", &site.folder, &plugin, upstreams);
    thread::scope(|scope| {
        let waiting = LENGTHS.map(|length| {
            let request = Request::new("POST", "/v1/agents").bearer(&site.key.key).body(vec![b'x'; length]);
            let port = envoy.port;
            scope.spawn(move || request.send(Protocol::Http1, port).expect("an answer"))
        });
        let held = || envoy.metrics().value("flamegate_held_requests_total").unwrap_or(0.0);
        let all = LENGTHS.len() as f64;
        eventually("all wait", || if held() >= all { Ok(()) } else { Err(held().to_string()) });
        site.control.start();
        for (length, thread) in LENGTHS.into_iter().zip(waiting) {
            let answer = thread.join().expect("a client");
            assert_eq!((answer.status, answer.text()), (200, length.to_string()));
        }
    });
}

#[test]
fn the_wait_ends_for_all_when_the_vm_is_so_old() {
    let mut site = site("hold-ends");
    let envoy = site.envoy_alone(json!({"start_hold_ms": 3_000}));
    let answer = envoy.send(&site.good());
    assert_eq!((answer.status, answer.code().as_deref()), (503, Some("UNAVAILABLE")));
    assert!(envoy.metrics().value("flamegate_held_requests_total").is_some());
}

/// 40 ms away, so each page is a round trip. `FLAMEGATE_SCALE_KEYS=30000` measures the first table of that many keys.
#[test]
fn the_first_table_takes_few_round_trips() {
    const PAGE: usize = 5_000;
    let keys = env::var("FLAMEGATE_SCALE_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(12_000);
    let site = site("first-table");
    let hash = |number: usize| hex::encode(Sha256::digest(format!("sk_live_start{number:08}")));
    for from in (1..keys).step_by(1_000) {
        let draft = |number: usize| json!({"hash": hash(number), "workspace": "e2e", "name": "n", "environment": "live"});
        let batch: Vec<Value> = (from..keys.min(from + 1_000)).map(draft).collect();
        site.control.data("POST", "/v1/api-keys/import-batch", Some(&json!({"keys": batch})));
    }
    let far = Middlebox::start(site.control.port, (Cut::Never, Duration::ZERO), Duration::from_millis(40));
    let upstreams = Upstreams { control: far.port, ..site.upstreams() };
    let started = Instant::now();
    let envoy = Envoy::start("envoy", &site.folder, &Plugin::singleton(json!({})), upstreams);
    let live = started.elapsed();
    eventually("the table is there", || envoy.send(&site.good()).expect_status(200));
    println!(
        "{keys} keys, 40 ms away: Envoy live after {live:?}, a good key's first 200 {:?} later",
        started.elapsed() - live
    );
    let pages = eventually("the next poll is out", || {
        let seen = far.seen();
        let polls = seen.iter().filter(|seen| seen.path.starts_with("/sync/v1/changes"));
        let whole = polls.filter(|poll| !poll.path.contains("epoch=")).count();
        if whole * PAGE >= keys { Ok(whole) } else { Err(format!("{seen:?}")) }
    });
    assert_eq!(pages, keys.div_ceil(PAGE));
    let there = || envoy.metrics().value("flamegate_keys");
    eventually(
        "all keys",
        || if there() == Some(keys as f64) { Ok(()) } else { Err(format!("{:?}", there())) },
    );
}

#[test]
fn a_hot_restart_under_load_refuses_nobody_and_both_processes_count() {
    a_hot_restart("hot-restart", &Plugin::singleton(json!({"start_hold_ms": 60_000})));
}

/// The table is taken in by a worker that has requests to hold.
#[test]
fn the_same_with_an_elected_sync() {
    a_hot_restart("hot-restart-elected", &Plugin::elected(json!({"start_hold_ms": 60_000})));
}

fn a_hot_restart(name: &str, plugin: &Plugin) {
    let site = site(name);
    let far = Middlebox::start(site.control.port, (Cut::Never, Duration::ZERO), Duration::from_millis(40));
    let upstreams = Upstreams { control: far.port, ..site.upstreams() };
    let old = hot_restart::first(&site.folder, plugin, upstreams);
    let other = site.control.create_key("e2e", "live", json!({}));
    old.wait_for(&site.good(), 200);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (request, over, port) = (site.good(), &over, old.port);
                let protocol = if client % 2 == 0 { Protocol::Http1 } else { Protocol::Http2 };
                scope.spawn(move || {
                    let mut answers = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        answers.push(request.send(protocol, port).map(|answer| answer.status));
                    }
                    answers
                })
            })
            .collect();
        let new = hot_restart::next(&site.folder, plugin, upstreams, &old);
        let gateways = || site.control.data("GET", "/v1/gateways?connected=true", None);
        eventually("both have acknowledged", || {
            let all = gateways();
            let current = all.as_array().into_iter().flatten().filter(|gateway| gateway["behind"] == 0);
            if current.count() == 2 { Ok(()) } else { Err(all.to_string()) }
        });
        let receipt = site.control.revoke(&other.id, "30s");
        assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(2), &json!(2)), "{receipt}");
        let mut old = old;
        eventually("the old process has ended", || {
            if old.has_ended() { Ok(()) } else { Err("it is there".to_owned()) }
        });
        assert_eq!(new.send(&site.good()).status, 200);
        over.store(true, Ordering::Relaxed);
        let mut count = 0;
        for client in clients {
            for answer in client.join().expect("a client") {
                assert_eq!(answer, Ok(200), "after {count} good ones");
                count += 1;
            }
        }
        println!(
            "{count} requests during a hot restart, {} of them held",
            new.metrics().value("flamegate_held_requests_total").unwrap_or(0.0)
        );
        assert!(count > 0);
    });
}
