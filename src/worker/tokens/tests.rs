//! Requests that wait for a token, from the first decision to the last: nothing is taken while they wait, and they are decided anew.

use std::num::NonZeroU32;
use std::rc::Rc;

use serde_json::json;

use crate::config::{Config, handed_over};
use crate::contract::key::{ApiKey, KeyHash};
use crate::contract::page::Page;
use crate::contract::record::{KeyRecord, Limit, Reach};
use crate::contract::samples;
use crate::decision::headers::serialize_map;
use crate::decision::metrics::Counter;
use crate::decision::request::Request;
use crate::host::fake::FakeHost;
use crate::host::{Clock as _, Monotonic};
use crate::limit::lending::{self, BUCKETS, Lending};
use crate::limit::pool::{Lent, Term};
use crate::table::writer::TableWriter;
use crate::worker::Worker;
use crate::worker::decide::{Outcome, decide};
use crate::worker::held::{HeldRequest, MAX_HELD, MAX_WOKEN_PER_TICK};

const MILLI: u64 = 1_000_000;
const KEY: &str = "sk_live_abcdefghijklmnopqrstuvwxyz";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Status(u32),
    Waits(Monotonic),
}

struct Gateway {
    host: FakeHost,
    worker: Worker,
    writer: TableWriter,
    answers: u64,
}

impl Gateway {
    /// With one key, which has these limits.
    fn new(config: &str, limits: Vec<Limit>) -> Self {
        let host = FakeHost::at(1_000);
        let worker = Worker::new(Rc::new(Config::parse(config.as_bytes(), |_| None).unwrap()));
        let record = KeyRecord { limits, ..samples::record(1) };
        let page = Page { reset: true, ..samples::page(1, [(hash(), record)], []) };
        let mut writer = TableWriter::default();
        writer.apply_reset(&host, &page, None, host.now()).unwrap();
        lending::make(&host).unwrap();
        let mut gateway = Self { host, worker, writer, answers: 0 };
        gateway.says(true);
        gateway.worker.tick(&gateway.host);
        gateway
    }

    /// What the sync says of lending.
    fn says(&mut self, works: bool) {
        self.answers += 1;
        let at = self.host.now().monotonic;
        Lending { works, answers: self.answers, at, queue: 0 }.write(&self.host).unwrap();
    }

    /// So many tokens come into every pool that there is.
    fn lends(&mut self, tokens: u32) {
        let now = self.host.now();
        for bucket in 0..BUCKETS {
            lending::update(&self.host, bucket, now.monotonic, |pools| {
                for entry in &mut pools.0 {
                    entry.demand.want = 0;
                    entry.pool.put(Lent { tokens, generation: 1, term: Term::new(now, 1_000 * MILLI) });
                }
                (true, ())
            })
            .unwrap();
        }
        self.says(true);
    }

    fn request(&mut self) -> Verdict {
        let authorization = format!("Bearer {KEY}");
        let headers =
            [(":method", "GET"), (":path", "/v1/agents"), ("authorization", authorization.as_str())];
        let map = serialize_map(headers.into_iter());
        let request = Request::from_map(&map).unwrap();
        let decision = decide(&mut self.worker, &self.host, &request);
        match decision.outcome {
            Outcome::Pass(_) => Verdict::Passed,
            Outcome::Answer(reply) => Verdict::Status(reply.status),
            Outcome::Await(until) => {
                assert_eq!(decision.counter, Counter::FleetHeld);
                Verdict::Waits(until)
            }
            Outcome::Hold => panic!("there is a table"),
        }
    }

    /// A request that waits as it does at the edge.
    fn wait(&mut self, id: u32) {
        let Verdict::Waits(until) = self.request() else { panic!("request {id} does not wait") };
        self.worker.await_token(&self.host, HeldRequest { id, body: false }, until);
    }

    /// What becomes of those that are woken now.
    fn wake(&mut self) -> Vec<Verdict> {
        let due = self.worker.take_waiting(&self.host, MAX_WOKEN_PER_TICK);
        let mut verdicts = Vec::new();
        for (held, until) in due {
            self.worker.waiting.deciding(Some(until));
            let verdict = self.request();
            if let Verdict::Waits(until) = verdict {
                self.worker.await_token(&self.host, held, until);
            }
            verdicts.push(verdict);
        }
        self.worker.waiting.deciding(None);
        verdicts
    }

    /// The waiting tokens that the sync is asked for.
    fn wanted(&self) -> u32 {
        let of_bucket = |bucket| {
            let now = self.host.now().monotonic;
            lending::update(&self.host, bucket, now, |pools| {
                (false, pools.0.iter().map(|entry| entry.demand.want).sum::<u32>())
            })
            .unwrap()
        };
        (0..BUCKETS).map(of_bucket).sum()
    }
}

impl Gateway {
    /// What the sync would tell: generation, spent, returned.
    fn told(&mut self) -> Vec<(u64, u32, u32)> {
        self.host.advance_ns(100 * MILLI);
        self.worker.tick(&self.host);
        let now = self.host.now().monotonic;
        let mut told = Vec::new();
        for bucket in 0..BUCKETS {
            let reports = lending::update(&self.host, bucket, now, |pools| {
                let reports = pools.0.iter_mut().flat_map(|entry| entry.pool.take_reports());
                (true, reports.collect::<Vec<_>>())
            });
            told.extend(
                reports.unwrap().iter().map(|report| (report.generation, report.spent, report.returned)),
            );
        }
        told
    }
}

fn hash() -> KeyHash {
    ApiKey::from_bytes(KEY.as_bytes()).unwrap().hash()
}

fn limit(name: &str, reach: Reach, burst: u32) -> Limit {
    let number = |n| NonZeroU32::new(n).unwrap();
    let limit = Limit::per(number(1), number(60));
    let burst = Some(number(burst));
    Limit { name: name.to_owned(), burst, reach, ..limit }
}

fn fleet() -> Vec<Limit> {
    vec![limit("shared", Reach::Fleet, 200)]
}

#[test]
fn those_that_wait_get_the_tokens_that_come_in_portions_and_the_others_go_on_waiting() {
    let mut gateway = Gateway::new(r#"{"sync":{}}"#, fleet());
    (0..100).for_each(|id| gateway.wait(id));
    assert_eq!(gateway.wanted(), 100);
    assert!(gateway.wake().is_empty(), "nothing is new");
    gateway.lends(50);
    let portions = [gateway.wake(), gateway.wake(), gateway.wake(), gateway.wake(), gateway.wake()];
    assert_eq!(portions.each_ref().map(Vec::len), [32, 32, 32, 4, 0]);
    let all = portions.concat();
    assert_eq!(all.iter().filter(|verdict| **verdict == Verdict::Passed).count(), 50);
    assert_eq!(gateway.worker.waiting.len(), 50);
    gateway.host.advance_ns(100 * MILLI);
    gateway.says(true);
    let late = [gateway.wake(), gateway.wake()].concat();
    assert_eq!(late, [Verdict::Status(429); 50], "none waits longer than it may");
    assert!(gateway.worker.waiting.is_empty());
}

#[test]
fn a_key_that_is_revoked_meanwhile_is_refused_on_waking() {
    let mut gateway = Gateway::new(r#"{"sync":{},"fleet_wait_ms":10000}"#, fleet());
    gateway.wait(1);
    let gone = samples::page(2, [], [hash()]);
    gateway.writer.apply_difference(&gateway.host, &gone, gateway.host.now()).unwrap();
    gateway.worker.tick(&gateway.host);
    gateway.lends(5);
    assert_eq!(gateway.wake(), [Verdict::Status(401)]);
}

#[test]
fn nobody_waits_where_that_is_off_or_too_many_do_and_who_gave_up_makes_room() {
    let mut gateway = Gateway::new(r#"{"sync":{},"fleet_wait_ms":0}"#, fleet());
    assert_eq!(gateway.request(), Verdict::Status(429));
    assert_eq!(gateway.wanted(), 1, "the next one finds a token");
    gateway.lends(1);
    gateway.host.advance_ns(50 * MILLI);
    assert_eq!(gateway.request(), Verdict::Passed);
    let mut gateway = Gateway::new(r#"{"sync":{}}"#, fleet());
    (0..MAX_HELD as u32).for_each(|id| gateway.wait(id));
    assert_eq!(gateway.request(), Verdict::Status(429));
    gateway.worker.waiting.forget_closed(|id| id >= 10);
    assert!(matches!(gateway.request(), Verdict::Waits(_)));
}

#[test]
fn all_limits_are_tried_and_then_all_tokens_are_taken_or_none() {
    let both = vec![limit("shared", Reach::Fleet, 200), limit("own", Reach::Gateway, 2)];
    let mut gateway = Gateway::new(r#"{"sync":{}}"#, both);
    gateway.wait(1);
    gateway.lends(5);
    assert_eq!(gateway.wake(), [Verdict::Passed]);
    gateway.host.advance_ns(30 * MILLI);
    assert_eq!(gateway.request(), Verdict::Passed);
    // The gateway's own limit is used up: nothing is asked of the fleet's.
    assert_eq!(gateway.request(), Verdict::Status(429));
    gateway.host.advance_ns(60_000 * MILLI);
    gateway.says(true);
    assert_eq!(gateway.wanted(), 0);
    assert!(matches!(gateway.request(), Verdict::Waits(_)), "one token of its own is back");
    gateway.lends(1);
    gateway.host.advance_ns(30 * MILLI);
    assert_eq!(gateway.request(), Verdict::Passed, "and it was not taken by the one that waits");
}

#[test]
fn a_request_that_costs_more_waits_for_all_of_its_tokens_and_they_are_of_one_grant() {
    let mut gateway = Gateway::new(r#"{"sync":{},"route_settings":true}"#, fleet());
    let cost = |cost: u32| handed_over(&json!({"cost": cost})).map(Some).ok_or(9);
    gateway.host.set_route_settings(cost(0));
    assert_eq!(gateway.request(), Verdict::Passed, "nobody is asked");
    assert_eq!(gateway.wanted(), 0);
    gateway.host.set_route_settings(cost(30));
    gateway.wait(1);
    assert_eq!(gateway.wanted(), 30);
    gateway.lends(20);
    assert_eq!(gateway.wake().len(), 1, "decided anew, and it waits for more");
    assert_eq!((gateway.wanted(), gateway.worker.waiting.len()), (30, 1), "what was too little went back");
    gateway.lends(34);
    assert_eq!(gateway.wake(), [Verdict::Passed]);
    gateway.host.set_route_settings(cost(2));
    assert_eq!([(); 2].map(|()| gateway.request()), [Verdict::Passed; 2]);
    let told = gateway.told();
    assert_eq!(told, [(1, 34, 20)], "every token is told of once: so many were used, so many went back");
    // Above the burst it counts as the burst.
    gateway.host.set_route_settings(cost(1_000));
    gateway.wait(2);
    assert_eq!(gateway.wanted(), 200);
    gateway.lends(200);
    assert_eq!(gateway.wake(), [Verdict::Passed]);
}

#[test]
fn nothing_more_is_lent_when_the_sync_says_so_or_says_nothing() {
    let mut gateway = Gateway::new(r#"{"sync":{}}"#, fleet());
    gateway.wait(1);
    gateway.says(false);
    assert_eq!(gateway.wake(), [Verdict::Passed], "by the gateway's own limiter");
    assert!((0..199).all(|_| gateway.request() == Verdict::Passed));
    assert_eq!(gateway.request(), Verdict::Status(429));
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.worker.counts.get(Counter::FleetAlone), 200);
}
