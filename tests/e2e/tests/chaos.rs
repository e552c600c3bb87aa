//! Random operations and faults on the real Envoy and control plane under constant traffic, and a model that says for
//! every key what it may answer at each moment. Between the begin of a change and the moment when every worker was seen
//! to enforce it both answers are allowed, after that one. 503 and closed connections are allowed while a fault is on;
//! a 200 for a key that is gone and a 401 for one that is good never are. In the end the control plane has counted what the clients saw, less
//! what dead workers and gateways took with them.
//!
//! `FLAMEGATE_CHAOS_SEED` and `FLAMEGATE_CHAOS_SECONDS` choose the operations and how long they go on. Even seeds sync
//! by a singleton, odd ones by an elected context.

#[path = "chaos/ledger.rs"]
mod ledger;
#[path = "chaos/model.rs"]
mod model;
#[path = "chaos/operations.rs"]
mod operations;
#[path = "chaos/proxy.rs"]
mod proxy;

mod mortal;

use std::{
    env,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use flamegate_e2e::random::Random;
use operations::Chaos;

fn number(text: Result<String, env::VarError>, otherwise: u64) -> u64 {
    text.ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn whatever_happens_no_answer_is_wrong() {
    let seed = number(env::var("FLAMEGATE_CHAOS_SEED"), 1);
    let seconds = number(env::var("FLAMEGATE_CHAOS_SECONDS"), 20);
    println!("chaos: seed {seed}, {seconds} s");
    let (mut chaos, world) = Chaos::start(seed);
    let begin = Instant::now();
    println!("at the start: {}", chaos.memory());
    thread::scope(|scope| {
        for client in 0..3 {
            let world = &world;
            scope.spawn(move || world.traffic(Random::new(seed ^ (client << 32))));
        }
        // The traffic ends also when an operation fails.
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while begin.elapsed() < Duration::from_secs(seconds)
                && world.wrong.lock().expect("wrong").is_empty()
            {
                chaos.step();
            }
        }));
        world.over.store(true, Ordering::SeqCst);
        if let Err(panic) = run {
            eprintln!("chaos: seed {seed} failed after {:?}", chaos.steps);
            std::panic::resume_unwind(panic);
        }
    });
    if world.wrong.lock().expect("wrong").is_empty() {
        chaos.assert_no_vm_is_left();
        chaos.assert_usage_is_counted();
    }
    println!("at the end: {}", chaos.memory());
    println!(
        "{} requests, {} without a verdict during faults, slowest enforcement {:?}; {:?}",
        world.requests.load(Ordering::Relaxed),
        world.unavailable.load(Ordering::Relaxed),
        chaos.slowest,
        world.done.lock().expect("done"),
    );
    let wrong = world.wrong.lock().expect("wrong");
    assert!(wrong.is_empty(), "seed {seed}, after {:?}: {wrong:#?}", chaos.steps);
}
