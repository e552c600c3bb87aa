//! Probes and requests before, at and after the first table.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::config::Config;
use crate::contract::page::{Page, Upsert, WireHash};
use crate::decision::headers::serialize_map;
use crate::decision::metrics::Counter;
use crate::decision::request::Request;
use crate::host::fake::FakeHost;
use crate::host::{Clock as _, random_u64};
use crate::table::writer::TableWriter;
use crate::worker::decide::{Outcome, decide};
use crate::worker::held::{HeldRequest, MAX_HELD, MAX_WOKEN_PER_TICK};
use crate::worker::roster::{self, DEAD_AFTER_NS, Presence};
use crate::worker::{Worker, stale};

const SECOND: u64 = 1_000_000_000;
const CONFIG: &str = r#"{"sync":{},"readiness_path":"/.flamegate/ready","max_staleness_seconds":60}"#;

fn worker(json: &str) -> Worker {
    Worker::new(Rc::new(Config::parse(json.as_bytes(), |_| None).unwrap()))
}

fn receive_table(host: &FakeHost) {
    let page = Page {
        epoch: "e_1".to_owned(),
        revision: 1,
        tag: None,
        more: false,
        reset: true,
        plans: BTreeMap::new(),
        upserts: Vec::<Upsert>::new(),
        removals: Vec::<WireHash>::new(),
    };
    TableWriter::default().apply_reset(host, &page, None, host.now()).unwrap();
}

/// What becomes of a request: its status, `None` when it waits.
fn ask(worker: &mut Worker, host: &FakeHost, headers: &[(&str, &str)]) -> (Option<u32>, Counter) {
    let map = serialize_map(headers.iter().copied());
    let request = Request::from_map(&map).unwrap();
    let decision = decide(worker, host, &request);
    match decision.outcome {
        Outcome::Answer(reply) => (Some(reply.status), decision.counter),
        Outcome::Hold | Outcome::Await(_) => (None, decision.counter),
        Outcome::Pass(_) => panic!("passed"),
    }
}

fn probe(worker: &mut Worker, host: &FakeHost) -> Option<u32> {
    ask(worker, host, &[(":method", "GET"), (":path", "/.flamegate/ready")]).0
}

fn call(worker: &mut Worker, host: &FakeHost, authorization: &str) -> Option<u32> {
    let headers = [(":method", "GET"), (":path", "/v1/agents"), ("authorization", authorization)];
    ask(worker, host, &headers).0
}

const KEY: &str = "Bearer sk_live_nobody";

#[test]
fn a_gateway_is_ready_once_every_live_worker_has_the_table() {
    let host = FakeHost::at(1_000);
    let (mut first, mut second) = (worker(CONFIG), worker(CONFIG));
    first.tick(&host);
    second.tick(&host);
    assert_eq!(probe(&mut first, &host), Some(503));
    receive_table(&host);
    first.tick(&host);
    assert_eq!(probe(&mut first, &host), Some(503), "the other has not seen it yet");
    second.tick(&host);
    first.tick(&host);
    assert_eq!(probe(&mut first, &host), Some(200));
    // A worker of another table, as after shared data was lost, and then one that is dead.
    Presence::new(random_u64()).announce(&host, (0, 0), host.now().monotonic);
    assert_eq!(probe(&mut first, &host), Some(200), "found out once per tick");
    first.tick(&host);
    assert_eq!(probe(&mut first, &host), Some(503));
    host.advance_ns(DEAD_AFTER_NS);
    first.tick(&host);
    assert_eq!(probe(&mut first, &host), Some(200));
}

/// From a probe on, its first key may be in its cache, so a revocation has to wait for it.
#[test]
fn a_worker_that_finds_the_table_by_a_probe_counts_from_then_on() {
    let host = FakeHost::at(1_000);
    let mut worker = worker(CONFIG);
    assert_eq!(probe(&mut worker, &host), Some(503));
    assert!(roster::read(&host).unwrap().is_empty(), "nothing can be cached of no table");
    host.advance_ns(SECOND);
    receive_table(&host);
    let mut worker = self::worker(CONFIG);
    assert_eq!(probe(&mut worker, &host), Some(200));
    let status = worker.status().unwrap();
    let entries = roster::read(&host).unwrap();
    let lines: Vec<_> = entries.iter().map(|entry| (entry.position, entry.seen)).collect();
    assert_eq!(lines, [((status.incarnation, status.sequence), host.now().monotonic)]);
}

#[test]
fn a_gateway_whose_table_is_too_old_is_not_ready_and_says_so_to_the_sync() {
    let host = FakeHost::at(1_000);
    let mut worker = worker(CONFIG);
    receive_table(&host);
    worker.tick(&host);
    assert_eq!(probe(&mut worker, &host), Some(200));
    assert!(!stale::is_told(&host, host.now().monotonic));
    host.advance_ns(61 * SECOND);
    assert_eq!(probe(&mut worker, &host), Some(503), "between two ticks");
    worker.tick(&host);
    assert!(stale::is_told(&host, host.now().monotonic));
    TableWriter::confirm(&host, "e_1", host.now()).unwrap();
    assert!(!stale::is_told(&host, host.now().monotonic), "the next poll says the truth at once");
    worker.tick(&host);
    assert_eq!(probe(&mut worker, &host), Some(200));
}

#[test]
fn only_the_exact_path_without_a_key_is_a_probe() {
    let host = FakeHost::at(1_000);
    let mut worker = worker(CONFIG);
    receive_table(&host);
    worker.tick(&host);
    let path = "/.flamegate/ready";
    let mut status = |method, path, more: &[(&str, &str)]| {
        let headers = [&[(":method", method), (":path", path)][..], more].concat();
        ask(&mut worker, &host, &headers).0
    };
    assert_eq!(status("HEAD", path, &[]), Some(200));
    for other in ["/.flamegate/ready/", "/.flamegate/ready?a", "/.flamegate//ready", "/.Flamegate/ready"] {
        assert_eq!(status("GET", other, &[]), Some(401), "{other}");
    }
    assert_eq!(status("POST", path, &[]), Some(401));
    assert_eq!(status("GET", path, &[("upgrade", "websocket")]), Some(401));
    assert_eq!(status("GET", path, &[("authorization", KEY)]), Some(401));
    let mut off = self::worker(r#"{"sync":{}}"#);
    assert_eq!(probe(&mut off, &host), Some(401));
    let mut alone = self::worker(r#"{"static_keys":[],"readiness_path":"/r"}"#);
    assert_eq!(
        ask(&mut alone, &host, &[(":method", "GET"), (":path", "/r")]),
        (Some(200), Counter::ReadinessReady)
    );
}

#[test]
fn one_well_formed_key_waits_for_the_first_table_and_nothing_else_does() {
    let host = FakeHost::at(1_000);
    let mut worker = worker(CONFIG);
    assert_eq!(call(&mut worker, &host, KEY), Some(503), "before anybody has said when the VM started");
    worker.hold_since(host.now().monotonic);
    assert_eq!(call(&mut worker, &host, KEY), None);
    for (bad, status) in [("Bearer nonsense", 401), ("Basic x", 401), ("Bearer ", 401)] {
        assert_eq!(call(&mut worker, &host, bad), Some(status), "{bad}");
    }
    // The window is the VM's, not the request's.
    host.advance_ns(3 * SECOND - 1);
    assert_eq!(call(&mut worker, &host, KEY), None);
    host.advance_ns(1);
    assert_eq!(call(&mut worker, &host, KEY), Some(503));
}

#[test]
fn who_waits_wakes_when_the_table_is_there_or_the_time_is_over() {
    let host = FakeHost::at(1_000);
    let mut worker = worker(CONFIG);
    worker.hold_since(host.now().monotonic);
    for id in 0..40 {
        assert_eq!(call(&mut worker, &host, KEY), None);
        worker.held.add(HeldRequest { id, body: id == 1 });
    }
    let take = |worker: &mut Worker| {
        let due = worker.held.take_due(worker.status().is_some(), host.now().monotonic);
        due.into_iter().map(|request| request.id).collect::<Vec<_>>()
    };
    worker.tick(&host);
    assert!(take(&mut worker).is_empty());
    receive_table(&host);
    worker.tick(&host);
    assert_eq!(take(&mut worker), (0..MAX_WOKEN_PER_TICK as u32).collect::<Vec<_>>());
    assert_eq!(take(&mut worker).len(), 40 - MAX_WOKEN_PER_TICK);
    assert_eq!(call(&mut worker, &host, KEY), Some(401), "decided as if it had just come");

    let host = FakeHost::at(1_000);
    let mut worker = self::worker(CONFIG);
    worker.hold_since(host.now().monotonic);
    worker.held.add(HeldRequest { id: 7, body: false });
    host.advance_ns(3 * SECOND);
    worker.tick(&host);
    assert_eq!(worker.held.take_due(false, host.now().monotonic), [HeldRequest { id: 7, body: false }]);
    assert_eq!(call(&mut worker, &host, KEY), Some(503), "not held a second time");
}

#[test]
fn so_many_wait_and_clients_that_gave_up_make_room() {
    let host = FakeHost::at(1_000);
    let mut worker = worker(CONFIG);
    worker.hold_since(host.now().monotonic);
    for id in 0..MAX_HELD {
        assert_eq!(call(&mut worker, &host, KEY), None, "{id}");
        worker.held.add(HeldRequest { id: id as u32, body: false });
    }
    assert_eq!(call(&mut worker, &host, KEY), Some(503));
    worker.held.forget_closed(|id| id >= 10);
    assert_eq!(worker.held.len(), MAX_HELD - 10);
    assert_eq!(call(&mut worker, &host, KEY), None);
    let mut never = self::worker(r#"{"sync":{},"start_hold_ms":0}"#);
    never.hold_since(host.now().monotonic);
    assert_eq!(call(&mut never, &host, KEY), Some(503));
}
