//! Random keys at full speed on every worker: memory stays where it is, good keys stay in the workers' memory, and good requests
//! go on. What a random key costs beside a good one is guarded by `make bench-check`.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use flamegate_e2e::{Plugin, Request, Stack, eventually, random::Random};
use serde_json::json;

/// Random keys in one round, over both workers.
const ROUND: usize = 40_000;

#[test]
fn random_keys_at_full_speed_take_no_memory_and_evict_nobody() {
    let seed = 20_261_124;
    println!("flood: seed {seed}");
    let stack = Stack::start("flood", &Plugin::singleton(json!({})));
    let good = stack.accepted_key("live");
    let round = |number: u64| {
        thread::scope(|scope| {
            for (worker, mut connection) in stack.envoy.connection_to_each_worker().into_iter().enumerate() {
                let mut random = Random::new(seed ^ (number << 8) ^ worker as u64);
                scope.spawn(move || {
                    for _ in 0..ROUND / 2 {
                        let key = format!("sk_live_{:016x}{:016x}", random.number(), random.number());
                        let answer =
                            connection.send(&Request::get("/v1/agents").bearer(&key)).expect("answer");
                        assert_eq!(answer.status, 401, "{}", answer.text());
                    }
                });
            }
        });
    };
    // The first round fills what has a bound: the workers' memory of values and of buckets.
    round(0);
    let before = stack.envoy.resident_bytes();
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let (over, asked) = (&over, &asked);
        for mut connection in stack.envoy.connection_to_each_worker() {
            let request = Request::get("/v1/agents").bearer(&good.key);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(connection.send(&request).expect("answer").status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 1..4 {
            round(number);
        }
        over.store(true, Ordering::Relaxed);
    });
    let (good_requests, random_keys) = (asked.into_inner(), 4 * ROUND as u64);
    let grown = stack.envoy.resident_bytes().saturating_sub(before);
    println!(
        "flood: {good_requests} good requests beside {} random keys; RSS grew by {} KiB",
        3 * ROUND,
        grown >> 10
    );
    // 120,000 keys at 32 bytes would be 3.8 MB already.
    assert!(grown < 2 << 20, "{grown} bytes more");
    // As many connections ask with the good key as with random ones. A good request also waits for the upstream, so it gets about
    // half as many answers in the same time; if it had to queue behind them it would be a few. Who gets the processor when is the
    // machine's business, so the bound is far away from both.
    let least = 3 * ROUND as u64 / 20;
    assert!(good_requests > least, "only {good_requests} good requests beside {} random keys", 3 * ROUND);
    eventually("every random key is counted as unknown", || {
        let unknown = stack.envoy.metrics().requests("invalid_api_key", "unknown");
        // The good key was asked for before it was known.
        if unknown >= random_keys { Ok(()) } else { Err(format!("{unknown}")) }
    });
}
