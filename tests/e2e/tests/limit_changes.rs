//! Limits whose numbers are changed while they are used, on a gateway of two workers: what was used stays used, and nobody is
//! refused by an old rate.

use flamegate_e2e::{Plugin, Request, Stack, control::NewKey, http1::Connection};
use serde_json::{Value, json};

/// What an hour admits, all at once.
fn an_hour(requests: u32) -> Value {
    json!({"requests": requests, "window_seconds": 3600, "burst": requests})
}

/// A gateway and one connection to each of its workers.
struct Gateway {
    stack: Stack,
    workers: Vec<Connection>,
}

impl Gateway {
    fn start(name: &str) -> Self {
        let stack = Stack::start(name, &Plugin::singleton(json!({})));
        let workers = stack.envoy.connection_to_each_worker();
        Self { stack, workers }
    }

    fn key(&self, workspace: &str, limits: &Value) -> NewKey {
        let key = self.stack.control.create_key(workspace, "live", json!({"limits": limits}));
        self.synced();
        key
    }

    fn change(&self, key: &NewKey, limits: &Value) {
        let path = format!("/v1/api-keys/{}", key.id);
        self.stack.control.data("PATCH", &path, Some(&json!({"limits": limits})));
        self.synced();
    }

    /// Waits until every worker enforces all changes so far: it enforces one that is younger.
    fn synced(&self) {
        let last = self.stack.control.create_key("e2e", "live", json!({}));
        let receipt = self.stack.control.revoke(&last.id, "30s");
        assert_eq!((&receipt["enforced"], &receipt["pending"]), (&json!(1), &json!([])), "{receipt}");
    }

    /// Sends requests to the workers in turn: how many were admitted, and how long the last refusal is.
    fn send(&mut self, key: &NewKey, requests: usize) -> (usize, Option<u64>) {
        let request = Request::get("/v1/agents").bearer(&key.key);
        let (mut admitted, mut wait) = (0, None);
        for number in 0..requests {
            let workers = self.workers.len();
            let answer = self.workers[number % workers].send(&request).expect("answer");
            match answer.status {
                200 => admitted += 1,
                429 => wait = answer.header("retry-after").and_then(|seconds| seconds.parse().ok()),
                status => panic!("status {status}"),
            }
        }
        (admitted, wait)
    }
}

#[test]
fn a_raised_limit_holds_at_once_and_what_was_used_stays_used() {
    let mut gateway = Gateway::start("limit-raised");
    let key = gateway.key("e2e", &json!([an_hour(10)]));
    assert_eq!(gateway.send(&key, 20).0, 10);
    gateway.change(&key, &json!([an_hour(1000)]));
    assert_eq!(gateway.send(&key, 50), (50, None));
    // Ten and fifty are used. One comes back every 3.6 s; 15 of a lease may wait with the other worker.
    let (admitted, _) = gateway.send(&key, 1200);
    println!("{admitted} of 940 that were left");
    assert!((925..=1000).contains(&admitted), "{admitted} of 940");
}

#[test]
fn a_lowered_limit_counts_what_was_used() {
    let mut gateway = Gateway::start("limit-lowered");
    let key = gateway.key("e2e", &json!([an_hour(100)]));
    assert_eq!(gateway.send(&key, 4).0, 4);
    gateway.change(&key, &json!([an_hour(10)]));
    let (admitted, wait) = gateway.send(&key, 40);
    assert_eq!(admitted, 6);
    assert!(wait.is_some_and(|seconds| (300..=360).contains(&seconds)), "one every 360 s, so not {wait:?}");
    let other = gateway.key("e2e", &json!([an_hour(100)]));
    assert_eq!(gateway.send(&other, 60).0, 60);
    gateway.change(&other, &json!([{"requests": 10, "window_seconds": 20, "burst": 10}]));
    let (admitted, wait) = gateway.send(&other, 1);
    assert_eq!((admitted, wait), (0, Some(2)), "all of the burst is used, and not what an hour would take");
}

#[test]
fn a_limit_that_is_taken_away_comes_back_with_what_was_used() {
    let mut gateway = Gateway::start("limit-back");
    let key = gateway.key("e2e", &json!([an_hour(10)]));
    assert_eq!(gateway.send(&key, 20).0, 10);
    gateway.change(&key, &json!([]));
    assert_eq!(gateway.send(&key, 50), (50, None));
    gateway.change(&key, &json!([an_hour(10)]));
    assert_eq!(gateway.send(&key, 20).0, 0);
    gateway.change(&key, &json!([an_hour(11)]));
    assert_eq!(gateway.send(&key, 20).0, 1, "changing a number is no new burst");
}

#[test]
fn another_name_for_a_keys_own_limit_is_no_new_burst_below_a_ceiling() {
    let mut gateway = Gateway::start("limit-renamed");
    gateway.stack.control.create_workspace("renaming");
    gateway.stack.control.bound("renaming", &json!({"ceiling": an_hour(10)}));
    let own = |name: &str| {
        let mut limit = an_hour(4);
        limit["name"] = json!(name);
        json!([limit])
    };
    let key = gateway.key("renaming", &own("a"));
    assert_eq!(gateway.send(&key, 20).0, 4, "its own limit");
    let mut all = 4;
    for name in ["b", "c", "d", "a", "e"] {
        gateway.change(&key, &own(name));
        all += gateway.send(&key, 20).0;
    }
    assert_eq!(all, 10, "its own limit begins anew with each name, the ceiling does not");
    for limits in [json!([]), json!(null)] {
        gateway.change(&key, &limits);
        assert_eq!(gateway.send(&key, 20).0, 0, "nor without limits of its own");
    }
}

#[test]
fn a_limit_of_a_workspace_is_raised_and_lowered_for_all_its_keys() {
    let mut gateway = Gateway::start("limit-workspace-changed");
    gateway.stack.control.create_workspace("changing");
    let bound = |gateway: &Gateway, requests: u32| {
        let mut limit = an_hour(requests);
        limit["name"] = json!("shared");
        gateway.stack.control.bound("changing", &json!({"workspace_limits": [limit]}));
        gateway.synced();
    };
    bound(&gateway, 10);
    let keys = [(); 2].map(|()| gateway.key("changing", &json!([])));
    assert_eq!(gateway.send(&keys[0], 20).0, 10);
    assert_eq!(gateway.send(&keys[1], 20).0, 0);
    bound(&gateway, 100);
    assert_eq!(gateway.send(&keys[1], 50), (50, None));
    assert_eq!(gateway.send(&keys[0], 200).0, 40, "ten and fifty were used");
    bound(&gateway, 20);
    let (admitted, wait) = gateway.send(&keys[1], 20);
    assert_eq!(admitted, 0);
    assert!(wait.is_some_and(|seconds| (120..=180).contains(&seconds)), "one every 180 s, so not {wait:?}");
}

/// One revision for all who have the plan, and no record is another.
#[test]
fn a_changed_plan_is_enforced_by_every_worker_for_all_its_keys() {
    let mut gateway = Gateway::start("plan-changed");
    let control = &gateway.stack.control;
    control.data("POST", "/v1/plans", Some(&json!({"name": "gold", "limits": [an_hour(100)]})));
    let keys = [(); 3].map(|()| control.create_key("e2e", "live", json!({"plan": "gold"})));
    gateway.synced();
    for key in &keys {
        assert_eq!(gateway.send(key, 4).0, 4);
    }
    let control = &gateway.stack.control;
    let revision = |id: &str| control.data("GET", &format!("/v1/api-keys/{id}"), None)["revision"].clone();
    let before = keys.each_ref().map(|key| revision(&key.id));
    let changes = json!({"limits": [an_hour(10)], "restrict": {"methods": ["GET"]}});
    let changed = control.data("PATCH", "/v1/plans/gold?wait=30s", Some(&changes));
    assert_eq!((&changed["keys"], &changed["receipt"]["enforced"]), (&json!(3), &json!(1)), "{changed}");
    assert_eq!(keys.each_ref().map(|key| revision(&key.id)), before);
    for key in &keys {
        for worker in &mut gateway.workers {
            let post = Request::new("POST", "/v1/agents").bearer(&key.key);
            assert_eq!(worker.send(&post).expect("answer").status, 403);
        }
        assert_eq!(gateway.send(key, 20).0, 6, "four are used, and what is forbidden takes nothing");
    }
}
