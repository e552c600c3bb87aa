//! Limits across two workers: how many requests are admitted, and that `Retry-After` can be believed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use flamegate_e2e::{Plugin, Request, Stack, control::NewKey, eventually, http1::Connection};
use serde_json::{Value, json};

fn stack(name: &str, more: Value) -> Stack {
    Stack::start(name, &Plugin::singleton(more))
}

/// A key with one limit that the gateway knows, with nothing of the limit used: it has a record only once the key that
/// was made after it has one.
fn fresh_key(stack: &Stack, limit: &Value) -> NewKey {
    let key = stack.control.create_key("e2e", "live", json!({"limits": [limit]}));
    stack.accepted_key("live");
    key
}

/// Sends `count` requests over `connections` connections at once: how many were admitted, and how long it took.
fn burst(stack: &Stack, keys: &[&NewKey], count: u64, connections: u64) -> (u64, Duration) {
    let admitted = AtomicU64::new(0);
    let started = Instant::now();
    thread::scope(|scope| {
        for number in 0..connections {
            let key = keys[usize::try_from(number).expect("small") % keys.len()];
            let admitted = &admitted;
            scope.spawn(move || {
                let mut connection = Connection::open(stack.envoy.port).expect("connection");
                let request = Request::get("/v1/agents").bearer(&key.key);
                for _ in 0..count / connections {
                    match connection.send(&request).expect("answer").status {
                        200 => drop(admitted.fetch_add(1, Ordering::Relaxed)),
                        429 => {}
                        status => panic!("status {status}"),
                    }
                }
            });
        }
    });
    (admitted.into_inner(), started.elapsed())
}

#[test]
fn two_workers_admit_what_one_limiter_would() {
    let stack = stack("limit-band", json!({}));
    let key = fresh_key(&stack, &json!({"requests": 100, "window_seconds": 60, "burst": 20}));
    let before = stack.envoy.connections_by_worker();
    let (admitted, took) = burst(&stack, &[&key], 2000, 16);
    let after = stack.envoy.connections_by_worker();
    assert!(
        before.iter().zip(&after).all(|(before, after)| before < after),
        "one worker only: {before:?} {after:?}"
    );
    // GCRA: the burst, and one more every 0.6 s. Below a burst of 128 leases are one token, so the bound is exact.
    let most = 20 + took.as_millis() / 600;
    println!("admitted {admitted} of 2000 in {took:?}; GCRA admits at most {most}");
    assert!(u128::from(admitted) <= most, "{admitted} admitted in {took:?}, at most {most}");
    assert!(admitted >= 20, "only {admitted} admitted");
}

#[test]
fn a_large_limit_keeps_its_documented_bound() {
    let stack = stack("limit-large", json!({}));
    let key = fresh_key(&stack, &json!({"requests": 60_000, "window_seconds": 600, "burst": 1000}));
    let (admitted, took) = burst(&stack, &[&key], 4000, 16);
    // Leases hold at most burst / 64 tokens each; see `src/limit.rs`.
    let most = 1000 + took.as_millis() / 10 + 2 * (1000 / 64 - 1);
    println!("admitted {admitted} of 4000 in {took:?}; at most {most}");
    assert!(u128::from(admitted) <= most, "{admitted} admitted in {took:?}, at most {most}");
    assert!(admitted >= 1000 - 1000 / 64, "only {admitted} admitted");
}

#[test]
fn a_request_sent_after_retry_after_is_admitted() {
    let stack = stack("retry-after", json!({}));
    let key = fresh_key(&stack, &json!({"requests": 40, "window_seconds": 60, "burst": 3}));
    let request = Request::get("/v1/agents").bearer(&key.key);
    for round in 0..2 {
        let refused = loop {
            let answer = stack.envoy.send(&request);
            if answer.status == 429 {
                break answer;
            }
            assert_eq!(answer.status, 200);
        };
        let seconds: u64 =
            refused.header("retry-after").expect("Retry-After").parse().expect("whole seconds");
        assert!((1..=2).contains(&seconds), "one more every 1.5 s, so not {seconds}");
        let reset = format!("t={seconds}");
        assert!(refused.header("ratelimit").is_some_and(|state| state.ends_with(&reset)), "{refused:?}");
        // The promise is about this very time.
        thread::sleep(Duration::from_secs(seconds));
        assert_eq!(
            stack.envoy.send(&request).status,
            200,
            "round {round}: refused after Retry-After: {seconds}"
        );
    }
}

#[test]
fn a_workspace_limit_counts_all_its_keys_together() {
    let stack = stack("limit-workspace", json!({}));
    let shared = json!({"workspace_limits": [{"name": "shared", "requests": 12, "window_seconds": 3600, "burst": 12}]});
    // A workspace of its own: nothing of its limit is used by waiting until the gateway has the keys.
    stack.control.create_workspace("full");
    stack.control.bound("full", &shared);
    let [first, second] = [(); 2].map(|()| stack.control.create_key("full", "live", json!({"limits": []})));
    stack.accepted_key("live");
    let (admitted, _) = burst(&stack, &[&first, &second], 400, 8);
    assert_eq!(admitted, 12);
    for key in [&first, &second] {
        let answer = stack.envoy.send(&Request::get("/v1/agents").bearer(&key.key));
        assert_eq!(answer.status, 429);
        assert_eq!(answer.header("ratelimit-policy").as_deref(), Some("\"shared\";q=12;w=3600"));
    }
    // Another workspace is not concerned.
    stack.control.create_workspace("other");
    stack.control.bound("other", &shared);
    let other = stack.control.create_key("other", "live", json!({"limits": []}));
    eventually("the other workspace", || {
        stack.envoy.send(&Request::get("/v1/agents").bearer(&other.key)).expect_status(200)
    });
}

#[test]
fn keys_are_limited_each_for_itself() {
    let stack = stack("limit-keys", json!({}));
    let limit = json!({"requests": 5, "window_seconds": 3600, "burst": 5});
    let (first, second) = (fresh_key(&stack, &limit), fresh_key(&stack, &limit));
    assert_eq!(burst(&stack, &[&first], 100, 4).0, 5);
    assert_eq!(burst(&stack, &[&second], 100, 4).0, 5);
}

#[test]
fn headers_on_admitted_requests_when_configured() {
    let mut plugin = Plugin::singleton(json!({"rate_limit_headers": "always"}));
    plugin.module = Some(flamegate_e2e::process::root().join("dist/flamegate-response-headers.wasm"));
    let stack = Stack::start("limit-headers", &plugin);
    let key = fresh_key(&stack, &json!({"requests": 10, "window_seconds": 3600, "burst": 3}));
    let request = Request::get("/v1/agents").bearer(&key.key);
    let mut connection = Connection::open(stack.envoy.port).expect("connection");
    for left in [2, 1, 0] {
        let answer = connection.send(&request).expect("answer").expect_status(200).expect("admitted");
        assert_eq!(answer.header("ratelimit-policy").as_deref(), Some("\"default\";q=10;w=3600"));
        let state = answer.header("ratelimit").unwrap_or_default();
        assert!(state.starts_with(&format!("\"default\";r={left};t=")), "{state}");
    }
}
