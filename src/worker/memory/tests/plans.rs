//! Plans: what many keys may do, by one name.

use super::*;
use crate::contract::page::Page;
use crate::contract::plan::Plan;
use crate::contract::record::{Limit, Scope};
use crate::contract::restrict::Restrict;
use crate::decision::metrics::Counter;
use crate::decision::request::Request;
use crate::host::Expect;
use crate::table::plans::{PLANS_KEY, Plans};
use crate::worker::decide::decide;
use crate::worker::streams::Doomed;

const KEYS: [&str; 2] = ["sk_live_one", "sk_live_two"];

fn plan(version: u64, requests: u32, scope: Scope, methods: &[&str]) -> Plan {
    let number = |n: u32| n.try_into().unwrap();
    let limit = Limit { scope, ..Limit::per(number(requests), number(3_600)) };
    let methods = methods.iter().map(|text| (*text).to_owned()).collect();
    let restrict = Some(Restrict { methods, ..Restrict::default() });
    Plan { version, limits: vec![limit], restrict }
}

fn plans(all: &[(&str, Plan)]) -> Plans {
    all.iter().map(|(name, plan)| ((*name).to_owned(), plan.clone())).collect()
}

fn apply(gateway: &mut Gateway, page: Page) {
    gateway.writer.apply_difference(&gateway.host, &page, gateway.host.now()).unwrap();
    gateway.worker.tick(&gateway.host);
}

/// Two keys of one workspace: a key's plan, and the workspace's.
fn records() -> [(KeyHash, KeyRecord); 2] {
    KEYS.map(|text| {
        let record = KeyRecord {
            plan: Some("gold".to_owned()),
            workspace_plan: Some("house".to_owned()),
            ..record(text)
        };
        (usage::key_of(text), record)
    })
}

fn ask(gateway: &mut Gateway, key: &str, method: &str) -> Counter {
    let value = format!("Bearer {key}");
    let request = Request {
        method: method.as_bytes(),
        path: b"/",
        authorization: crate::decision::credential::Authorization::Single(value.as_bytes()),
        ..Request::default()
    };
    decide(&mut gateway.worker, &gateway.host, &request).counter
}

fn gateway() -> Gateway {
    let mut gateway = Gateway::new(SYNCED);
    let all = plans(&[
        ("gold", plan(2, 2, Scope::Key, &["GET"])),
        ("house", plan(2, 3, Scope::Workspace, &["GET", "PUT"])),
    ]);
    apply(&mut gateway, Page { plans: all, ..samples::page(2, records(), []) });
    gateway
}

#[test]
fn limits_and_restrictions_of_both_plans_count_beside_the_records_own() {
    let mut gateway = gateway();
    assert_eq!(
        ask(&mut gateway, KEYS[0], "PUT"),
        Counter::ForbiddenMethod,
        "the workspace's plan alone opens it"
    );
    assert_eq!(ask(&mut gateway, KEYS[0], "GET"), Counter::PermittedKey);
    assert_eq!(ask(&mut gateway, KEYS[0], "GET"), Counter::PermittedKey);
    assert_eq!(ask(&mut gateway, KEYS[0], "GET"), Counter::RateLimitedKey);
    assert_eq!(ask(&mut gateway, KEYS[1], "GET"), Counter::PermittedKey);
    assert_eq!(ask(&mut gateway, KEYS[1], "GET"), Counter::RateLimitedWorkspace);
}

#[test]
fn a_changed_plan_is_enforced_with_the_next_tick_without_touching_a_record() {
    let mut gateway = gateway();
    for key in KEYS {
        assert_eq!(ask(&mut gateway, key, "GET"), Counter::PermittedKey);
    }
    let key = gateway.worker.find(&gateway.host, &usage::key_of(KEYS[0])).unwrap().unwrap();
    gateway.worker.streams.opened(1, key, false, gateway.host.now().monotonic);
    let all = plans(&[
        ("gold", plan(3, 9, Scope::Key, &["POST"])),
        ("house", plan(2, 90, Scope::Workspace, &["POST"])),
    ]);
    let before = gateway.host.calls();
    apply(&mut gateway, Page { plans: all, ..samples::page(3, [], []) });
    let after = gateway.host.calls();
    assert!(after.0 - before.0 < 12 && after.1 - before.1 < 6, "{before:?} {after:?}");
    for key in KEYS {
        assert_eq!(ask(&mut gateway, key, "GET"), Counter::ForbiddenMethod);
        assert_eq!(ask(&mut gateway, key, "POST"), Counter::PermittedKey);
    }
    let ended = gateway.worker.streams.take_doomed(|_| true);
    assert_eq!(ended, [Doomed { id: 1, grpc: false, forbidden: true }]);
}

#[test]
fn a_plan_that_is_not_there_is_503_until_it_comes() {
    let mut gateway = Gateway::new(SYNCED);
    apply(&mut gateway, samples::page(2, records(), []));
    assert_eq!(ask(&mut gateway, KEYS[0], "GET"), Counter::UnavailableNoPlan);
    let gold = [("gold", plan(3, 9, Scope::Key, &["GET"]))];
    apply(&mut gateway, Page { plans: plans(&gold), ..samples::page(3, [], []) });
    assert_eq!(ask(&mut gateway, KEYS[0], "GET"), Counter::UnavailableNoPlan, "one of two");
    let [gold] = gold;
    let all = plans(&[gold, ("house", plan(4, 9, Scope::Workspace, &["GET"]))]);
    apply(&mut gateway, Page { plans: all, ..samples::page(4, [], []) });
    assert_eq!(ask(&mut gateway, KEYS[0], "GET"), Counter::PermittedKey);
}

#[test]
fn plans_that_nobody_can_read_are_a_hole_in_the_table() {
    let mut gateway = gateway();
    gateway.host.write(PLANS_KEY, b"?", Expect::Any).unwrap();
    assert_eq!(ask(&mut gateway, KEYS[0], "GET"), Counter::UnavailableNoPlan);
    let status = Status::read(&gateway.host).unwrap().unwrap();
    assert!(status.epoch.is_empty(), "a whole table is asked for");
}

#[test]
fn a_whole_table_brings_its_plans_and_the_old_ones_serve_until_its_end() {
    let mut gateway = gateway();
    let [one, two] = records();
    let (first, second) = if one.0 < two.0 { (one, two) } else { (two, one) };
    let other = |(hash, record): (KeyHash, KeyRecord)| {
        (hash, KeyRecord { plan: Some("silver".to_owned()), workspace_plan: None, ..record })
    };
    let part = |records: [(KeyHash, KeyRecord); 1], more| {
        let page = samples::page(9, records, []);
        Page { reset: true, more, epoch: "e_1".to_owned(), ..page }
    };
    let silver = plans(&[("silver", plan(9, 9, Scope::Key, &["GET"]))]);
    let page = Page { plans: silver, ..part([other(first.clone())], true) };
    let now = gateway.host.now();
    gateway.writer.apply_reset(&gateway.host, &page, None, now).unwrap();
    gateway.worker.tick(&gateway.host);
    for (hash, _) in [&first, &second] {
        assert!(
            gateway.worker.find(&gateway.host, hash).unwrap().is_some(),
            "a key of the new part, and one of the old table"
        );
    }
    let last = part([other(second.clone())], false);
    gateway.writer.apply_reset(&gateway.host, &last, Some(first.0), now).unwrap();
    gateway.worker.tick(&gateway.host);
    assert!(gateway.worker.find(&gateway.host, &second.0).unwrap().is_some());
    let kept = crate::table::plans::read(&gateway.host).unwrap().unwrap();
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["silver"]);
}
