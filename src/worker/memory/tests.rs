//! What a worker remembers, forgets and ends.

use super::*;
use crate::contract::page::{Page, WireHash};
use crate::contract::record::KeyRecord;
use crate::contract::samples::{self, hash, record};
use crate::host::fake::FakeHost;
use crate::table::writer::TableWriter;
use crate::worker::roster;

fn page(revision: u64, reset: bool, upserts: &[(u8, Option<u64>)], removals: &[u8]) -> Page {
    let record =
        |(seed, expires_at): &(u8, _)| (hash(*seed), KeyRecord { expires_at: *expires_at, ..record(seed) });
    Page { reset, ..samples::page(revision, upserts.iter().map(record), removals.iter().copied().map(hash)) }
}

struct Gateway {
    host: FakeHost,
    writer: TableWriter,
    worker: Worker,
}

impl Gateway {
    fn new(json: &str) -> Self {
        let config = Config::parse(json.as_bytes(), |_| None).unwrap();
        let mut gateway = Self {
            host: FakeHost::at(1_000),
            writer: TableWriter::default(),
            worker: Worker::new(Rc::new(config)),
        };
        gateway.reset(1, &[(1, None), (2, None)]);
        gateway.worker.tick(&gateway.host);
        gateway
    }

    fn reset(&mut self, revision: u64, upserts: &[(u8, Option<u64>)]) {
        let now = self.host.now();
        self.writer.apply_reset(&self.host, &page(revision, true, upserts, &[]), None, now).unwrap();
    }

    fn change(&mut self, revision: u64, upserts: &[(u8, Option<u64>)], removals: &[u8]) {
        let now = self.host.now();
        self.writer.apply_difference(&self.host, &page(revision, false, upserts, removals), now).unwrap();
    }

    fn find(&mut self, seed: u8) -> Result<bool, Unavailable> {
        self.worker.find(&self.host, &hash(seed)).map(|key| key.is_some())
    }

    fn open(&mut self, stream: u32, seed: u8) {
        let key = self.worker.find(&self.host, &hash(seed)).unwrap().unwrap();
        let now = self.host.now().monotonic;
        self.worker.streams.opened(stream, key, false, now);
    }
}

const SYNCED: &str = r#"{"sync":{}}"#;

#[test]
fn a_key_in_memory_costs_no_host_call() {
    let mut gateway = Gateway::new(SYNCED);
    assert_eq!(gateway.find(1), Ok(true));
    let calls = gateway.host.calls();
    for _ in 0..1000 {
        assert_eq!(gateway.find(1), Ok(true));
    }
    assert_eq!(gateway.host.calls(), calls);
}

/// A request with this key, all the way through the filter; `None` when it was admitted.
fn ask(gateway: &mut Gateway, authorization: &str) -> Option<u32> {
    let request = crate::decision::request::Request {
        authorization: crate::decision::credential::Authorization::Single(authorization.as_bytes()),
        ..crate::decision::request::Request::default()
    };
    match crate::worker::decide::decide(&mut gateway.worker, &gateway.host, &request).outcome {
        crate::worker::decide::Outcome::Pass(_)
        | crate::worker::decide::Outcome::Hold
        | crate::worker::decide::Outcome::Await(_) => None,
        crate::worker::decide::Outcome::Answer(reply) => Some(reply.status),
    }
}

const THROTTLED: &str = r#"{"sync":{},"failure_throttle":{"failures":3,"window_seconds":30}}"#;

#[test]
fn a_throttled_address_is_refused_before_its_key_is_looked_at() {
    let mut gateway = Gateway::new(THROTTLED);
    real_key(&mut gateway, 2, None);
    gateway.host.set_client_address("192.0.2.1:1");
    for number in 0..3 {
        assert_eq!(ask(&mut gateway, &format!("Bearer sk_live_bad{number}")), Some(401));
    }
    let calls = gateway.host.calls();
    for number in 3..1000 {
        let port = number % 100;
        gateway.host.set_client_address(&format!("192.0.2.1:{port}"));
        assert_eq!(ask(&mut gateway, &format!("Bearer sk_live_bad{number}")), Some(429));
    }
    assert_eq!(gateway.host.calls(), calls, "nothing is looked up");
    assert_eq!(
        ask(&mut gateway, "Bearer sk_live_real"),
        Some(429),
        "not looked at, so nobody knows that it is good"
    );
    assert_eq!(ask(&mut gateway, "Bearer sk_live_bad0"), Some(429), "neither is one that is known to be bad");
    gateway.host.set_client_address("192.0.2.2:1");
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), None, "another address");
    gateway.host.set_client_address("192.0.2.1:1");
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), None, "known to be good by now");
    let change = page(3, false, &[(1, None), (2, None), (3, None)], &[]);
    gateway.writer.apply_difference(&gateway.host, &change, gateway.host.now()).unwrap();
    gateway.worker.tick(&gateway.host);
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), None, "also when its bucket has changed");
    gateway.host.advance_ns(10_000_000_000);
    assert_eq!(ask(&mut gateway, "Bearer sk_live_bad1"), Some(401), "one more after window / failures");
    assert_eq!(ask(&mut gateway, "Bearer sk_live_bad1"), Some(429));
}

#[test]
fn only_bad_keys_count_as_failures() {
    let mut gateway = Gateway::new(THROTTLED);
    real_key(&mut gateway, 2, None);
    gateway.host.set_client_address("192.0.2.1:1");
    for _ in 0..10 {
        assert_eq!(ask(&mut gateway, "Basic dXNlcjpwYXNz"), Some(401));
        let absent = crate::decision::request::Request::default();
        let outcome = crate::worker::decide::decide(&mut gateway.worker, &gateway.host, &absent).outcome;
        assert!(matches!(outcome, crate::worker::decide::Outcome::Answer(reply) if reply.status == 401));
    }
    gateway.host.fail_reads(Some(10));
    for number in 0..10 {
        assert_eq!(ask(&mut gateway, &format!("Bearer sk_live_bad{number}")), Some(503));
    }
    gateway.host.fail_reads(None);
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), None);
    for bad in ["Bearer malformed", "Bearer sk_live_bad", "Bearer sk_live_"] {
        assert_eq!(ask(&mut gateway, bad), Some(401));
    }
    assert_eq!(ask(&mut gateway, "Bearer sk_live_bad"), Some(429));
}

#[test]
fn the_throttle_costs_nothing_when_it_is_off_or_the_key_is_recognised() {
    let mut off = Gateway::new(SYNCED);
    for number in 0..100 {
        assert_eq!(ask(&mut off, &format!("Bearer sk_live_bad{number}")), Some(401));
    }
    assert_eq!(off.host.addresses_asked(), 0);
    let mut on = Gateway::new(THROTTLED);
    real_key(&mut on, 2, None);
    for _ in 0..100 {
        assert_eq!(ask(&mut on, "Bearer sk_live_real"), None);
    }
    assert_eq!(on.host.addresses_asked(), 1, "once, before it was recognised");
}

#[test]
fn a_client_without_an_address_is_not_throttled() {
    let mut gateway = Gateway::new(THROTTLED);
    for address in [None, Some("/run/envoy.sock"), Some("")] {
        address.into_iter().for_each(|address| gateway.host.set_client_address(address));
        for number in 0..10 {
            assert_eq!(ask(&mut gateway, &format!("Bearer sk_live_bad{number}")), Some(401));
        }
    }
}

fn real_key(gateway: &mut Gateway, revision: u64, expires_at: Option<u64>) -> KeyHash {
    let hash = crate::contract::key::ApiKey::from_bytes(b"sk_live_real").unwrap().hash();
    let mut page = page(revision, false, &[(1, expires_at)], &[]);
    page.upserts[0].hash = WireHash(hash);
    let now = gateway.host.now();
    gateway.writer.apply_difference(&gateway.host, &page, now).unwrap();
    gateway.worker.tick(&gateway.host);
    hash
}

#[test]
fn a_recognised_value_costs_no_host_call_and_is_forgotten_with_its_key() {
    let mut gateway = Gateway::new(SYNCED);
    let hash = real_key(&mut gateway, 2, None);
    for value in ["Bearer sk_live_real", "bearer  sk_live_real "] {
        assert_eq!(ask(&mut gateway, value), None);
    }
    let calls = gateway.host.calls();
    for _ in 0..1000 {
        assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), None);
    }
    assert_eq!(gateway.host.calls(), calls, "no shared data in the steady state");
    for other in ["Bearer sk_live_rea", "Bearer sk_live_real2", "Basic sk_live_real", "Bearer sk_live_real,"]
    {
        assert_eq!(ask(&mut gateway, other), Some(401), "{other}");
    }
    let mut revocation = page(3, false, &[], &[1]);
    revocation.removals = vec![WireHash(hash)];
    gateway.writer.apply_difference(&gateway.host, &revocation, gateway.host.now()).unwrap();
    gateway.worker.tick(&gateway.host);
    for value in ["Bearer sk_live_real", "bearer  sk_live_real "] {
        assert_eq!(ask(&mut gateway, value), Some(401));
    }
    real_key(&mut gateway, 4, None);
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), None, "an unknown value is not unknown for ever");
}

#[test]
fn a_recognised_value_expires_by_the_clock_and_is_refused_with_a_stale_table() {
    let mut gateway = Gateway::new(r#"{"sync":{"wait_seconds":25},"max_staleness_seconds":60}"#);
    real_key(&mut gateway, 2, Some(1_030));
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), None);
    gateway.host.advance_ns(30_000_000_000);
    gateway.worker.tick(&gateway.host);
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), Some(401));
    real_key(&mut gateway, 3, None);
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), None);
    gateway.host.advance_ns(61_000_000_000);
    gateway.worker.tick(&gateway.host);
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), Some(503));
    assert_eq!(ask(&mut gateway, "Bearer sk_live_other"), Some(503), "unknown is not known any more");
}

/// A machine that slept: requests lie in the sockets and are served before the first tick.
#[test]
fn time_that_passed_since_the_last_tick_counts() {
    let mut gateway = Gateway::new(r#"{"sync":{"wait_seconds":25},"max_staleness_seconds":60}"#);
    real_key(&mut gateway, 2, Some(1_030));
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), None);
    gateway.host.advance_ns(30_000_000_000);
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), Some(401), "expired, recognised");
    assert_eq!(ask(&mut gateway, "bearer sk_live_real"), Some(401), "expired, looked up");
    gateway.host.advance_ns(31_000_000_000);
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), Some(503), "the table is stale");
    assert_eq!(ask(&mut gateway, "Bearer sk_live_other"), Some(503));
}

#[test]
fn random_values_at_full_speed_keep_memory_bounded_and_hot_keys_in() {
    let mut gateway = Gateway::new(SYNCED);
    real_key(&mut gateway, 2, None);
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), None);
    for number in 0..5000 {
        assert_eq!(ask(&mut gateway, &format!("Bearer sk_live_random{number}")), Some(401));
    }
    let calls = gateway.host.calls();
    assert_eq!(ask(&mut gateway, "Bearer sk_live_real"), None);
    assert_eq!(gateway.host.calls(), calls);
    assert!(gateway.worker.cache.len() <= 2);
}

#[test]
fn a_change_is_seen_at_the_next_tick_and_touches_only_its_buckets() {
    let mut gateway = Gateway::new(SYNCED);
    let many: Vec<_> = (1..=200).map(|seed| (seed, None)).collect();
    gateway.reset(2, &many);
    gateway.worker.tick(&gateway.host);
    for seed in 1..=200 {
        assert_eq!(gateway.find(seed), Ok(true));
    }
    gateway.change(3, &[], &[1]);
    assert_eq!(gateway.find(1), Ok(true), "not before the tick");
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.find(1), Ok(false));
    let (reads, _) = gateway.host.calls();
    assert_eq!(gateway.find(200), Ok(true));
    assert_eq!(gateway.host.calls().0, reads, "the other buckets' records stay");
}

#[test]
fn a_worker_that_fell_behind_the_ring_forgets_everything() {
    let mut gateway = Gateway::new(SYNCED);
    assert_eq!(gateway.find(1), Ok(true));
    gateway.change(2, &[], &[1]);
    for revision in 3..700 {
        gateway.change(revision, &[(3, Some(revision))], &[]);
    }
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.find(1), Ok(false));
}

#[test]
fn random_keys_leave_nothing_in_memory() {
    let mut gateway = Gateway::new(SYNCED);
    assert_eq!(gateway.find(1), Ok(true));
    let bytes = gateway.host.total_bytes();
    for seed in 10..250 {
        assert_eq!(gateway.find(seed), Ok(false));
    }
    assert_eq!(gateway.worker.cache.len(), 1);
    assert_eq!(gateway.host.total_bytes(), bytes);
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_used() {
    let mut gateway = Gateway::new(r#"{"sync":{},"cache_records":10}"#);
    let many: Vec<_> = (1..=200).map(|seed| (seed, None)).collect();
    gateway.reset(2, &many);
    gateway.worker.tick(&gateway.host);
    for seed in 2..=200 {
        assert_eq!(gateway.find(seed), Ok(true));
        assert_eq!(gateway.find(1), Ok(true));
        assert!(gateway.worker.cache.len() <= 20);
    }
    let (reads, _) = gateway.host.calls();
    assert_eq!(gateway.find(1), Ok(true));
    assert_eq!(gateway.host.calls().0, reads, "the hot key was never pushed out");
}

#[test]
fn no_table_is_unavailable_and_static_keys_work_all_the_same() {
    let hex = hash(9).to_hex();
    let json = format!(
        r#"{{"sync":{{}},"static_keys":[{{"hash":"{hex}","id":"key_9","workspace":"w","environment":"live"}}]}}"#
    );
    let mut gateway = Gateway::new(&json);
    gateway.host.wipe();
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.find(1), Err(Unavailable::NotSynced));
    assert_eq!(gateway.find(9), Ok(true));
    gateway.reset(7, &[(1, None)]);
    assert_eq!(gateway.find(1), Ok(true), "a worker without a table looks at once");
}

#[test]
fn without_a_control_plane_an_unknown_key_is_unknown() {
    let hex = hash(9).to_hex();
    let json = format!(
        r#"{{"static_keys":[{{"hash":"{hex}","id":"key_9","workspace":"w","environment":"live"}}]}}"#
    );
    let config = Config::parse(json.as_bytes(), |_| None).unwrap();
    let (host, mut worker) = (FakeHost::at(1), Worker::new(Rc::new(config)));
    worker.tick(&host);
    assert!(worker.find(&host, &hash(1)).unwrap().is_none());
    assert!(worker.find(&host, &hash(9)).unwrap().is_some());
}

#[test]
fn a_table_that_is_too_old_is_unavailable_until_it_is_confirmed() {
    let mut gateway = Gateway::new(r#"{"sync":{"wait_seconds":25},"max_staleness_seconds":60}"#);
    assert_eq!(gateway.find(1), Ok(true));
    gateway.host.advance_ns(60_000_000_000);
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.find(1), Ok(true));
    gateway.host.advance_ns(1_000_000_000);
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.find(1), Err(Unavailable::Stale));
    TableWriter::confirm(&gateway.host, "e_1", gateway.host.now()).unwrap();
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.find(1), Ok(true));
}

#[test]
fn unreadable_shared_data_keeps_the_cache_and_refuses_the_rest() {
    let mut gateway = Gateway::new(SYNCED);
    assert_eq!(gateway.find(1), Ok(true));
    gateway.host.fail_reads(Some(10));
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.find(1), Ok(true));
    assert_eq!(gateway.find(2), Err(Unavailable::NotSynced));
    gateway.host.fail_reads(None);
    assert_eq!(gateway.find(2), Ok(true));
}

#[test]
fn foreign_bytes_in_a_bucket_are_unavailable_not_unknown() {
    let mut gateway = Gateway::new(SYNCED);
    let bits = gateway.worker.status().unwrap().bits;
    let key = table::bucket_key(bits, bucket_of(&hash(2), bits));
    gateway.host.write(&key, b"\x07foreign", crate::host::Expect::Any).unwrap();
    assert_eq!(gateway.find(2), Err(Unavailable::NotSynced));
    let status = Status::read(&gateway.host).unwrap().unwrap();
    assert!(status.epoch.is_empty(), "the sync is told to replace the table");
}

#[test]
fn streams_of_a_revoked_key_end_in_portions_and_others_go_on() {
    let mut gateway = Gateway::new(SYNCED);
    for stream in 0..100 {
        gateway.open(stream, 1);
    }
    gateway.open(500, 2);
    gateway.change(2, &[], &[1]);
    gateway.worker.tick(&gateway.host);
    let mut ended = Vec::new();
    for portion in [32, 32, 32, 3, 0] {
        let doomed = gateway.take_doomed(|stream| stream != 7);
        assert_eq!(doomed.len(), portion);
        ended.extend(doomed);
    }
    ended.sort_unstable();
    assert_eq!(ended, (0..100).filter(|stream| *stream != 7).collect::<Vec<_>>());
    assert_eq!(gateway.worker.streams.len(), 1);
}

#[test]
fn a_changed_record_ends_no_stream_and_neither_does_a_lost_table() {
    let mut gateway = Gateway::new(SYNCED);
    gateway.open(1, 1);
    gateway.change(2, &[(1, Some(9_999))], &[]);
    gateway.worker.tick(&gateway.host);
    gateway.host.wipe();
    gateway.worker.tick(&gateway.host);
    assert!(gateway.take_doomed(|_| true).is_empty());
}

#[test]
fn an_expiry_that_is_set_later_ends_open_streams_too() {
    let mut gateway = Gateway::new(SYNCED);
    gateway.open(1, 1);
    gateway.change(2, &[(1, Some(1_010))], &[]);
    gateway.worker.tick(&gateway.host);
    gateway.host.advance_ns(9_000_000_000);
    gateway.worker.tick(&gateway.host);
    assert!(gateway.take_doomed(|_| true).is_empty());
    gateway.host.advance_ns(1_000_000_000);
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.take_doomed(|_| true), [1]);
}

#[test]
fn many_keys_with_open_streams_are_looked_up_again_in_portions() {
    let mut gateway = Gateway::new(SYNCED);
    let many: Vec<_> = (1..=250).map(|seed| (seed, None)).collect();
    gateway.reset(2, &many);
    gateway.worker.tick(&gateway.host);
    for round in 0..4u32 {
        for seed in 1..=250u8 {
            gateway.open(round * 1000 + u32::from(seed), seed);
        }
    }
    gateway.reset(3, &many[..100]);
    let mut ended = 0;
    for _ in 0..40 {
        let (reads, _) = gateway.host.calls();
        gateway.worker.tick(&gateway.host);
        assert!(gateway.host.calls().0 - reads < 300);
        ended += gateway.take_doomed(|_| true).len();
    }
    assert_eq!((ended, gateway.worker.streams.len()), (600, 400));
}

#[test]
fn rechecks_are_noted_once_and_tried_again_when_shared_data_fails() {
    let mut gateway = Gateway::new(SYNCED);
    gateway.open(1, 1);
    gateway.open(2, 2);
    for revision in 2..50 {
        gateway.reset(revision, &[(1, None), (2, None)]);
        gateway.worker.refresh(&gateway.host).unwrap();
    }
    assert_eq!(gateway.worker.rechecks.len(), 2);
    gateway.change(50, &[], &[1]);
    gateway.worker.refresh(&gateway.host).unwrap();
    gateway.host.fail_reads(Some(10));
    gateway.worker.tick(&gateway.host);
    assert!(gateway.take_doomed(|_| true).is_empty());
    gateway.host.fail_reads(None);
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.take_doomed(|_| true), [1]);
    assert!(gateway.worker.rechecks.is_empty() && gateway.worker.pending.is_empty());
}

#[test]
fn a_stream_that_ended_by_itself_is_not_ended_again() {
    let mut gateway = Gateway::new(SYNCED);
    gateway.open(1, 1);
    gateway.open(2, 1);
    gateway.change(2, &[], &[1]);
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.take_doomed(|stream| stream != 1), [2]);
}

#[test]
fn a_worker_counts_for_acknowledgements_from_its_first_look_at_the_table() {
    let mut gateway = Gateway::new(SYNCED);
    let mut fresh = Worker::new(Rc::new(Config::parse(SYNCED.as_bytes(), |_| None).unwrap()));
    let before = roster::read(&gateway.host).unwrap().len();
    assert!(fresh.find(&gateway.host, &hash(1)).unwrap().is_some());
    assert_eq!(roster::read(&gateway.host).unwrap().len(), before + 1);
    gateway.change(2, &[], &[1]);
    gateway.worker.tick(&gateway.host);
    let status = Status::read(&gateway.host).unwrap().unwrap();
    let position = (status.incarnation, status.sequence);
    let now = gateway.host.now().monotonic;
    assert!(!roster::all_enforce(&roster::read(&gateway.host).unwrap(), position, now));
    fresh.leave(&gateway.host);
    assert!(roster::all_enforce(&roster::read(&gateway.host).unwrap(), position, now));
}

#[test]
fn streams_of_a_key_that_expires_end_within_a_second() {
    let mut gateway = Gateway::new(SYNCED);
    gateway.change(2, &[(1, Some(1_010))], &[]);
    gateway.worker.tick(&gateway.host);
    gateway.open(1, 1);
    for _ in 0..9 {
        gateway.host.advance_ns(1_000_000_000);
        gateway.worker.tick(&gateway.host);
        assert!(gateway.take_doomed(|_| true).is_empty());
    }
    gateway.host.advance_ns(1_000_000_000);
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.take_doomed(|_| true), [1]);
}

#[test]
fn no_stream_ends_when_the_configuration_says_so() {
    let mut gateway = Gateway::new(r#"{"sync":{},"end_streams":false}"#);
    gateway.change(2, &[(1, Some(1_010))], &[]);
    gateway.worker.tick(&gateway.host);
    gateway.open(1, 1);
    gateway.open(2, 2);
    gateway.change(3, &[], &[2]);
    gateway.host.advance_ns(20_000_000_000);
    for _ in 0..3 {
        gateway.worker.tick(&gateway.host);
        gateway.host.advance_ns(1_000_000_000);
    }
    assert!(gateway.take_doomed(|_| true).is_empty());
    assert_eq!(gateway.find(2), Ok(false), "new requests are refused all the same");
}

mod plans;
mod restricted;
mod streams;
mod unknown;
mod usage;
