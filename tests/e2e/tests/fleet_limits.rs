//! Limits that two gateways of two workers each count together, by tokens that one control plane lends.

#[path = "fleet_limits/bound.rs"]
mod bound;
#[path = "fleet_limits/engines.rs"]
mod engines;
#[path = "fleet_limits/failover.rs"]
mod failover;
#[path = "fleet_limits/load.rs"]
mod load;
#[path = "fleet_limits/planes.rs"]
mod planes;
#[path = "fleet_limits/troubles.rs"]
mod troubles;
#[path = "fleet_limits/world.rs"]
mod world;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use flamegate_e2e::{
    Envoy, Plugin, Request, Stack, control::NewKey, eventually, http1::Connection, metrics::Metrics,
};
use serde_json::{Value, json};

/// A stack with a second gateway.
struct Pair {
    stack: Stack,
    second: Envoy,
}

/// What came of some requests.
struct Sent {
    admitted: u64,
    took: Duration,
}

impl Pair {
    fn start(name: &str, plugin: &Plugin) -> Self {
        let stack = Stack::start(name, plugin);
        let second = Envoy::start("second", &stack.folder, plugin, stack.upstreams());
        let pair = Self { stack, second };
        // Of a limit that is older than the control plane nobody knows what was used, and it begins in full debt. The control plane looks
        // which are younger when it first lends, a second after it has begun.
        let quick =
            json!({"requests": 10_000, "window_seconds": 1, "burst": 10, "when_unreachable": "refuse"});
        let key = pair.key(&quick);
        pair.gateways()
            .iter()
            .for_each(|envoy| envoy.wait_for(&Request::get("/v1/agents").bearer(&key.key), 200));
        pair
    }

    fn gateways(&self) -> [&Envoy; 2] {
        [&self.stack.envoy, &self.second]
    }

    /// A key with this limit that every worker knows, with nothing of it used: it has a record once the key that was made after it has.
    fn key(&self, limit: &Value) -> NewKey {
        let mut limit = limit.clone();
        limit["reach"] = json!("fleet");
        self.known(json!({"limits": [limit]}))
    }

    /// The same of which the limit is a plan's.
    fn key_on_plan(&self, limit: &Value) -> NewKey {
        let mut limit = limit.clone();
        limit["reach"] = json!("fleet");
        self.stack.control.data("POST", "/v1/plans", Some(&json!({"name": "gold", "limits": [limit]})));
        self.known(json!({"plan": "gold"}))
    }

    fn known(&self, more: Value) -> NewKey {
        let key = self.stack.control.create_key("e2e", "live", more);
        let later = self.stack.accepted_key("live");
        self.second.wait_for(&Request::get("/v1/agents").bearer(&later.key), 200);
        key
    }

    /// Sends `count` requests with the key, over eight connections; `shares` of them to each gateway.
    fn send(&self, key: &NewKey, count: u64, shares: [usize; 2]) -> Sent {
        let admitted = AtomicU64::new(0);
        let started = Instant::now();
        thread::scope(|scope| {
            for (gateway, share) in self.gateways().into_iter().zip(shares) {
                for _ in 0..share {
                    let admitted = &admitted;
                    scope.spawn(move || {
                        let mut connection = Connection::open(gateway.port).expect("connection");
                        let request = Request::get("/v1/agents").bearer(&key.key);
                        for _ in 0..count / 8 {
                            match connection.send(&request).expect("answer").status {
                                200 => drop(admitted.fetch_add(1, Ordering::Relaxed)),
                                429 => {}
                                status => panic!("status {status}"),
                            }
                        }
                    });
                }
            }
        });
        Sent { admitted: admitted.into_inner(), took: started.elapsed() }
    }
}

fn counter(metrics: &Metrics, name: &str) -> f64 {
    metrics.value(name).unwrap_or_default()
}

#[test]
fn two_gateways_admit_together_what_one_limiter_would() {
    let pair = Pair::start("fleet-limit", &Plugin::singleton(json!({})));
    for (limit, interval_ms, burst, shares, is_plans) in [
        (json!({"requests": 100, "window_seconds": 60, "burst": 20}), 600, 20, [4, 4], false),
        (json!({"requests": 6_000, "window_seconds": 600, "burst": 400}), 100, 400, [4, 4], false),
        (json!({"requests": 6_000, "window_seconds": 600, "burst": 400}), 100, 400, [7, 1], false),
        (json!({"requests": 100, "window_seconds": 60, "burst": 20}), 600, 20, [4, 4], true),
    ] {
        let key = if is_plans { pair.key_on_plan(&limit) } else { pair.key(&limit) };
        let Sent { admitted, took } = pair.send(&key, 4_000, shares);
        let most = burst + u64::try_from(took.as_millis()).unwrap() / interval_ms;
        println!("{limit} {shares:?}: admitted {admitted} of 4000 in {took:?}; the bound is {most}");
        assert!(admitted <= most, "{admitted} admitted in {took:?}, at most {most}");
        assert!(admitted * 100 >= burst * 97, "only {admitted} of {burst}");
    }
}

#[test]
fn one_root_context_lends_for_all_workers_when_it_is_elected() {
    let pair = Pair::start("fleet-elected", &Plugin::elected(json!({})));
    let key = pair.key(&json!({"requests": 100, "window_seconds": 600, "burst": 20}));
    let Sent { admitted, took } = pair.send(&key, 800, [4, 4]);
    assert!((20..=20 + took.as_secs() / 6).contains(&admitted), "{admitted} in {took:?}");
    let held: f64 =
        pair.gateways().map(|envoy| counter(&envoy.metrics(), "flamegate_fleet_held_total")).iter().sum();
    assert!(held > 0.0, "the first requests had to wait");
}

#[test]
fn without_a_control_plane_a_limit_goes_by_what_it_says_and_comes_back() {
    let mut pair = Pair::start("fleet-away", &Plugin::singleton(json!({})));
    let numbers = json!({"requests": 100, "window_seconds": 600, "burst": 20});
    let own = pair.key(&numbers);
    let mut numbers = numbers;
    numbers["when_unreachable"] = json!("refuse");
    let strict = pair.key(&numbers);
    let ask = |envoy: &Envoy, key: &NewKey| envoy.send(&Request::get("/v1/agents").bearer(&key.key));
    assert_eq!([&own, &strict].map(|key| ask(&pair.stack.envoy, key).status), [200, 200]);
    pair.stack.control.kill();
    eventually("the strict one refuses", || ask(&pair.stack.envoy, &strict).expect_status(429));
    let refused = ask(&pair.stack.envoy, &strict);
    assert_eq!((refused.status, refused.header("retry-after").as_deref()), (429, Some("1")));
    let Sent { admitted, .. } = pair.send(&own, 800, [4, 4]);
    assert!((20..=2 * 21).contains(&admitted), "each gateway for itself: {admitted}");
    eventually("it shows", || {
        let alone = counter(&pair.stack.envoy.metrics(), "flamegate_fleet_alone_total");
        if alone > 0.0 { Ok(()) } else { Err(format!("{alone}")) }
    });
    pair.stack.control.start();
    // What was used before nobody knows: the books begin in full debt, and the gateways tell what they have admitted.
    eventually("tokens are lent again", || {
        let log = pair.stack.envoy.log();
        if log.contains("lent again") { Ok(()) } else { Err("not yet".to_owned()) }
    });
}
