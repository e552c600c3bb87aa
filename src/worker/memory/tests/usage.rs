//! What a worker counts of requests, and that a dead key is an unknown one on their way.

use super::*;
use crate::contract::key::Environment;
use crate::contract::record::Limit;
use crate::contract::usage::UsageOutcome;
use crate::worker::in_shadow;
use crate::worker::usage::{Bag, CELLS, make_cells, take};

pub fn key_of(text: &str) -> KeyHash {
    crate::contract::key::ApiKey::from_bytes(text.as_bytes()).unwrap().hash()
}

/// A gateway with a key for ever, one that ends in a minute, one with a limit of two, and one of another environment.
fn gateway() -> Gateway {
    let mut gateway = Gateway::new(r#"{"sync":{},"environments":["live"]}"#);
    let one = |n: u32| n.try_into().unwrap();
    let limit = Limit::per(one(2), one(3_600));
    let keys = [
        ("sk_live_good", record("good")),
        ("sk_live_ends", KeyRecord { expires_at: Some(1_060), ..record("ends") }),
        ("sk_live_busy", KeyRecord { limits: vec![limit], ..record("busy") }),
        ("sk_live_test", KeyRecord { environment: Environment::Test, ..record("test") }),
    ];
    let upserts = keys.map(|(text, record)| (key_of(text), record));
    let change = samples::page(2, upserts, []);
    gateway.writer.apply_difference(&gateway.host, &change, gateway.host.now()).unwrap();
    make_cells(&gateway.host).unwrap();
    gateway.worker.tick(&gateway.host);
    gateway
}

pub fn handed_over(gateway: &mut Gateway) -> Bag {
    gateway.host.advance_ns(10_000_000_000);
    gateway.worker.tick(&gateway.host);
    let mut bag = Bag::default();
    (0..CELLS).for_each(|cell| take(&gateway.host, cell, &mut bag).unwrap());
    bag
}

pub fn count(bag: &Bag, id: &str, outcome: UsageOutcome) -> u64 {
    bag.counts.iter().filter(|((_, of), _)| of == id).map(|(_, tally)| tally[outcome as usize]).sum()
}

#[test]
fn each_request_of_a_known_key_is_counted_under_its_outcome() {
    let mut gateway = gateway();
    for _ in 0..5 {
        for key in ["good", "ends", "busy", "test"] {
            ask(&mut gateway, &format!("Bearer sk_live_{key}"));
        }
    }
    gateway.host.advance_ns(60_000_000_000);
    ask(&mut gateway, "Bearer sk_live_ends");
    ask(&mut gateway, "bearer  sk_live_ends");
    let bag = handed_over(&mut gateway);
    assert_eq!(count(&bag, "key_good", UsageOutcome::Admitted), 5);
    assert_eq!(count(&bag, "key_ends", UsageOutcome::Admitted), 5);
    assert_eq!(count(&bag, "key_ends", UsageOutcome::Expired), 2, "known, and seen for the first time");
    assert_eq!(count(&bag, "key_busy", UsageOutcome::Admitted), 2);
    assert_eq!(count(&bag, "key_busy", UsageOutcome::RateLimited), 3);
    assert_eq!(count(&bag, "key_test", UsageOutcome::Environment), 5);
    assert!(bag.refused.is_empty());
    ask(&mut gateway, "Bearer sk_live_good");
    assert_eq!(count(&handed_over(&mut gateway), "key_good", UsageOutcome::Admitted), 1, "and begins anew");
}

#[test]
fn counts_of_a_key_outlive_its_record() {
    let mut gateway = gateway();
    ask(&mut gateway, "Bearer sk_live_good");
    let gone = samples::page(3, [], [key_of("sk_live_good")]);
    gateway.writer.apply_difference(&gateway.host, &gone, gateway.host.now()).unwrap();
    gateway.worker.tick(&gateway.host);
    assert!(ask(&mut gateway, "Bearer sk_live_good").is_some());
    let bag = handed_over(&mut gateway);
    assert_eq!(count(&bag, "key_good", UsageOutcome::Admitted), 1);
    assert_eq!(
        bag.refused.into_iter().map(|((_, hash, _), n)| (hash, n)).collect::<Vec<_>>(),
        [(key_of("sk_live_good"), 1)]
    );
}

/// A key that was revoked and one that never was: the same answer, the same host calls, and the same work.
#[test]
fn a_dead_key_costs_what_an_unknown_one_does() {
    let mut gateway = gateway();
    for _ in 0..2 {
        ask(&mut gateway, "Bearer sk_live_good");
    }
    let gone = samples::page(3, [], [key_of("sk_live_good")]);
    gateway.writer.apply_difference(&gateway.host, &gone, gateway.host.now()).unwrap();
    gateway.worker.tick(&gateway.host);
    let mut costs = |key: &str| {
        let before = gateway.host.calls();
        let answers = [(); 3].map(|()| ask(&mut gateway, &format!("Bearer {key}")));
        assert!(answers[0].is_some() && answers[1..] == answers[..2]);
        let after = gateway.host.calls();
        (answers[0], after.0 - before.0, after.1 - before.1)
    };
    // The table has one bucket, which the first look-up reads for both.
    let first = costs("sk_live_else");
    assert_eq!((first.1, first.2), (1, 0));
    let (dead, unknown) = (costs("sk_live_good"), costs("sk_live_never"));
    assert_eq!(dead, unknown);
    assert_eq!(dead, (first.0, 0, 0));
}

#[test]
fn a_key_that_is_refused_for_its_prefix_is_sampled_and_never_looked_up() {
    let mut gateway = gateway();
    let calls = gateway.host.calls();
    (0..3).for_each(|_| assert!(ask(&mut gateway, "Bearer sk_test_other").is_some()));
    assert_eq!(gateway.host.calls(), calls);
    let refused: Vec<_> = handed_over(&mut gateway).refused.into_iter().collect();
    assert!(
        matches!(&refused[..], [((_, hash, true), 3)] if *hash == key_of("sk_test_other")),
        "{refused:?}"
    );
}

/// The sync asks what workers have said, and tells the control plane.
#[test]
fn a_worker_in_shadow_says_so_and_one_that_is_not_says_nothing() {
    for (config, shadow) in [(r#"{"sync":{},"shadow":true}"#, true), (r#"{"sync":{}}"#, false)] {
        let mut gateway = Gateway::new(config);
        gateway.worker.tick(&gateway.host);
        let told = |gateway: &Gateway| in_shadow::is_told(&gateway.host, gateway.host.now().monotonic);
        assert_eq!(told(&gateway), shadow, "{config}");
        gateway.host.advance_ns(4_000_000_000);
        gateway.worker.tick(&gateway.host);
        gateway.host.advance_ns(4_000_000_000);
        assert_eq!(told(&gateway), shadow, "said again");
        gateway.host.advance_ns(2_000_000_000);
        assert!(!told(&gateway), "the configuration is gone");
    }
}
