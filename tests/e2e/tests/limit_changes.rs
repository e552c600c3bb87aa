//! Limits whose numbers are changed while they are used, on a gateway of two workers: what was used stays used, and nobody is
//! refused by an old rate. And keys in shadow, whose limits refuse nobody.

use std::time::{SystemTime, UNIX_EPOCH};

use flamegate_e2e::{
    Plugin, Request, Stack, control::NewKey, eventually, http1::Connection, upstream::echoed,
};
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
        Self::start_changed(name, |text| text)
    }

    /// The same with a change to Envoy's configuration.
    fn start_changed(name: &str, change: impl FnOnce(String) -> String) -> Self {
        let stack = Stack::start_changed(name, &Plugin::singleton(json!({})), change);
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

/// On a gateway whose guard knows of shadow. Every worker is asked, and the first answer after the receipt counts.
#[test]
fn a_key_in_shadow_passes_over_its_limit_is_counted_and_is_refused_once_it_is_taken_out() {
    let mut gateway = Gateway::start_changed("shadow-key", |text| {
        text.replacen("value_match: { exact: path }", "value_match: { exact: shadow }", 1)
    });
    let key = gateway.key("e2e", &json!([an_hour(2)]));
    let set = |gateway: &Gateway, key: &NewKey, shadow: bool| {
        let path = format!("/v1/api-keys/{}/shadow?wait=30s", key.id);
        let set = gateway.stack.control.data("PUT", &path, Some(&json!({"shadow": shadow})));
        assert_eq!(
            (&set["shadow"], &set["receipt"]["enforced"], &set["receipt"]["pending"]),
            (&json!(shadow), &json!(1), &json!([])),
            "{set}"
        );
    };
    set(&gateway, &key, true);
    let request = Request::get("/v1/agents").bearer(&key.key).header("x-flametalk-shadow", "NONE");
    let mut marks = Vec::new();
    for number in 0..12 {
        let workers = gateway.workers.len();
        let answer = gateway.workers[number % workers].send(&request).expect("answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let echo = echoed(&answer).expect("the upstream's echo");
        let of = |name: &str| -> Vec<String> {
            let found = echo.iter().filter(|(header, _)| header == name);
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
        };
        assert_eq!((of("x-flametalk-key-id"), of("authorization")), (vec![key.id.clone()], Vec::new()));
        marks.push(of("x-flametalk-shadow").join("|"));
    }
    // Two are admitted; a worker may have taken one more than the other has used.
    let would = marks.iter().filter(|mark| *mark == "RATE_LIMITED").count();
    assert!(would >= 10 && marks.iter().filter(|mark| mark.is_empty()).count() == 12 - would, "{marks:?}");
    eventually("the gateway and the control plane have counted what would have been refused", || {
        let metrics = gateway.stack.envoy.metrics();
        let told = metrics.requests("shadow_rate_limited", "key");
        let path = format!("/v1/api-keys/{}/usage", key.id);
        let totals = gateway.stack.control.data("GET", &path, None)["totals"].clone();
        let is_told = ["rate_limited", "shadow_limited"].iter().all(|name| totals[*name] == json!(would));
        if told == would as u64 && is_told { Ok(()) } else { Err(format!("{told}, {totals}")) }
    });
    set(&gateway, &key, false);
    for worker in &mut gateway.workers {
        assert_eq!(worker.send(&request).expect("answer").status, 429);
    }
    // It revives nothing.
    set(&gateway, &key, true);
    assert_eq!(gateway.stack.control.revoke(&key.id, "30s")["enforced"], 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let short = json!({"limits": [an_hour(1)], "expires_at": now + 3});
    let short = gateway.stack.control.create_key("e2e", "live", short);
    set(&gateway, &short, true);
    for ended in [key, short] {
        let request = Request::get("/v1/agents").bearer(&ended.key);
        for worker in &mut gateway.workers {
            eventually("an ended key is refused", || {
                match worker.send(&request).map(|answer| answer.status) {
                    Ok(401) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            });
        }
    }
}
