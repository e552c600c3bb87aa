//! How long it takes until a new key is accepted and a revoked one refused, on every worker. `FLAMEGATE_LATENCY_ROUNDS`
//! sets the number of rounds (20); `make test` waits for each verdict and asserts only that it comes, and a run of 200
//! rounds also holds the times against the promise.

use std::{env, time::Duration};

use flamegate_e2e::{Plugin, Request, Stack, until};
use serde_json::json;

/// From this many rounds on, the 99th percentile is asserted.
const ENOUGH_ROUNDS: usize = 200;
/// What is promised for the 99th percentile.
const PROMISE: Duration = Duration::from_millis(100);

#[test]
fn revocation_reaches_every_worker() {
    let rounds = env::var("FLAMEGATE_LATENCY_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let stack = Stack::start("latency", &Plugin::singleton(json!({})));
    stack.accepted_key("live");
    let mut workers = stack.envoy.connection_to_each_worker();
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let limits = json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]});
        let key = stack.control.create_key("e2e", "live", limits);
        let request = Request::get("/v1/agents").bearer(&key.key);
        accepted.push(until(&mut workers, &request, 200));
        stack.control.revoke(&key.id, "0s");
        refused.push(until(&mut workers, &request, 401));
    }
    let slowest =
        [("create to accepted", &mut accepted), ("revoke to refused", &mut refused)].map(|(what, times)| {
            times.sort();
            let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
            println!("{what}, {rounds} rounds: p50 {:?}, p99 {:?}, max {:?}", at(50), at(99), at(100));
            (what, at(99))
        });
    for (what, p99) in slowest {
        assert!(rounds < ENOUGH_ROUNDS || p99 < PROMISE, "{what}: p99 {p99:?}, promised {PROMISE:?}");
    }
}
