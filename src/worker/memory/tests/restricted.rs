//! Keys that may be used for some requests only.

use super::*;
use crate::config::Config;
use crate::contract::restrict::Restrict;
use crate::contract::usage::UsageOutcome;
use crate::decision::metrics::Counter;
use crate::decision::request::Request;
use crate::worker::decide::decide;
use crate::worker::streams::Doomed;
use crate::worker::usage::make_cells;

const KEY: &str = "Bearer sk_live_reads";

fn reads(paths: &[&str], addresses: &[&str]) -> Restrict {
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Restrict { methods: list(&["GET"]), paths: list(paths), addresses: list(addresses) }
}

fn give(gateway: &mut Gateway, revision: u64, restrict: Option<Restrict>) {
    let record = KeyRecord { restrict, ..record("reads") };
    let change = samples::page(revision, [(usage::key_of("sk_live_reads"), record)], []);
    gateway.writer.apply_difference(&gateway.host, &change, gateway.host.now()).unwrap();
    gateway.worker.tick(&gateway.host);
}

fn counter(gateway: &mut Gateway, method: &str, path: &str) -> Counter {
    let request = Request {
        method: method.as_bytes(),
        path: path.as_bytes(),
        authorization: crate::decision::credential::Authorization::Single(KEY.as_bytes()),
        ..Request::default()
    };
    decide(&mut gateway.worker, &gateway.host, &request).counter
}

#[test]
fn a_recognised_key_is_asked_for_each_request_what_it_may_do() {
    let mut gateway = Gateway::new(SYNCED);
    make_cells(&gateway.host).unwrap();
    give(&mut gateway, 2, Some(reads(&["/v1/agents"], &[])));
    for _ in 0..3 {
        assert_eq!(counter(&mut gateway, "GET", "/v1/agents?x"), Counter::PermittedKey);
        assert_eq!(counter(&mut gateway, "PUT", "/v1/agents"), Counter::ForbiddenMethod);
        assert_eq!(counter(&mut gateway, "GET", "/v1/agents/../x"), Counter::ForbiddenPath);
    }
    assert_eq!(gateway.host.addresses_asked(), 0, "a host call that nobody needs");
    let calls = gateway.host.calls();
    assert_eq!(counter(&mut gateway, "PUT", "/v1/agents"), Counter::ForbiddenMethod);
    assert_eq!(gateway.host.calls(), calls, "decided in the worker's memory");
    let bag = usage::handed_over(&mut gateway);
    assert_eq!(usage::count(&bag, "key_reads", UsageOutcome::Forbidden), 7);
    assert_eq!(usage::count(&bag, "key_reads", UsageOutcome::Admitted), 3);
}

#[test]
fn other_rules_are_enforced_with_the_next_tick() {
    let mut gateway = Gateway::new(SYNCED);
    give(&mut gateway, 2, None);
    assert_eq!(counter(&mut gateway, "PUT", "/"), Counter::PermittedKey);
    give(&mut gateway, 3, Some(reads(&[], &["10.0.0.0/8"])));
    assert_eq!(counter(&mut gateway, "PUT", "/"), Counter::ForbiddenMethod);
    assert_eq!(counter(&mut gateway, "GET", "/"), Counter::ForbiddenAddress, "a host that says no address");
    gateway.host.set_client_address("10.1.2.3:4");
    assert_eq!(counter(&mut gateway, "GET", "/"), Counter::PermittedKey);
    gateway.host.set_client_address("11.1.2.3:4");
    assert_eq!(counter(&mut gateway, "GET", "/"), Counter::ForbiddenAddress);
    give(&mut gateway, 4, None);
    assert_eq!(counter(&mut gateway, "PUT", "/"), Counter::PermittedKey);
}

#[test]
fn what_is_forbidden_takes_nothing_from_a_limit_and_is_no_failure() {
    let more = r#"{"sync":{},"failure_throttle":{"failures":3,"window_seconds":30}}"#;
    let mut gateway = Gateway::new(more);
    gateway.host.set_client_address("192.0.2.1:1");
    let one = |n: u32| n.try_into().unwrap();
    let limits = vec![crate::contract::record::Limit::per(one(1), one(3_600))];
    let record = KeyRecord { limits, restrict: Some(reads(&[], &[])), ..record("reads") };
    let change = samples::page(2, [(usage::key_of("sk_live_reads"), record)], []);
    gateway.writer.apply_difference(&gateway.host, &change, gateway.host.now()).unwrap();
    gateway.worker.tick(&gateway.host);
    for _ in 0..10 {
        assert_eq!(counter(&mut gateway, "PUT", "/"), Counter::ForbiddenMethod);
    }
    assert_eq!(counter(&mut gateway, "GET", "/"), Counter::PermittedKey);
    assert_eq!(counter(&mut gateway, "GET", "/"), Counter::RateLimitedKey);
}

#[test]
fn streams_that_were_admitted_by_wider_rules_end() {
    let mut gateway = Gateway::new(SYNCED);
    give(&mut gateway, 2, Some(reads(&["/a"], &[])));
    let open = |gateway: &mut Gateway, stream| {
        let key = gateway.worker.find(&gateway.host, &usage::key_of("sk_live_reads")).unwrap().unwrap();
        gateway.worker.streams.opened(stream, key, false, gateway.host.now().monotonic);
    };
    open(&mut gateway, 1);
    give(&mut gateway, 3, Some(reads(&["/a", "/b"], &[])));
    assert!(gateway.worker.streams.take_doomed(|_| true).is_empty(), "all of it is open still");
    open(&mut gateway, 2);
    give(&mut gateway, 4, Some(reads(&["/b"], &[])));
    let ended = [1, 2].map(|id| Doomed { id, grpc: false, forbidden: true });
    assert_eq!(gateway.worker.streams.take_doomed(|_| true), ended);
    open(&mut gateway, 3);
    give(&mut gateway, 5, None);
    assert!(gateway.worker.streams.take_doomed(|_| true).is_empty());
    give(&mut gateway, 6, Some(reads(&[], &[])));
    assert_eq!(
        gateway.worker.streams.take_doomed(|_| true),
        [Doomed { id: 3, grpc: false, forbidden: true }]
    );
}

#[test]
fn static_keys_have_them_too_and_nothing_is_understood_half() {
    let key = |restrict: &str| {
        let hash = usage::key_of("sk_live_reads").to_hex();
        let json = format!(
            r#"{{"static_keys":[{{"hash":"{hash}","id":"key_1","workspace":"ws_1","environment":"live","restrict":{restrict}}}]}}"#
        );
        Config::parse(json.as_bytes(), |_| None)
    };
    let config = key(r#"{"methods":["GET"],"paths":["/a/*"]}"#).unwrap();
    let mut gateway = Gateway::new(SYNCED);
    gateway.worker = Worker::new(Rc::new(config));
    assert_eq!(counter(&mut gateway, "GET", "/a/b"), Counter::PermittedKey);
    assert_eq!(counter(&mut gateway, "GET", "/b"), Counter::ForbiddenPath);
    for (restrict, mistake) in [
        (r#"{"methods":["get"]}"#, "static_keys[0].restrict.methods[0]: a method in capitals"),
        (r#"{"methods":[]}"#, "static_keys[0].restrict.methods: at least one"),
        (r#"{"hosts":["a"]}"#, "static_keys[0].restrict.hosts: unknown field"),
        (r#"{"addresses":["10.0.0.1/8"]}"#, "static_keys[0].restrict.addresses[0]: an IP address"),
        (r#"{"paths":"/a"}"#, "static_keys[0].restrict.paths: a list"),
        ("[]", "static_keys[0].restrict: an object"),
    ] {
        let found = key(restrict).unwrap_err().to_string();
        assert!(found.contains(mistake), "{restrict}: {found}");
    }
}
