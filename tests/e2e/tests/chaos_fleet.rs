//! Random changes and faults on two control planes that share a PostgreSQL with a synchronous standby, with two Envoys under constant traffic,
//! and the model of `chaos.rs`. No fault here excuses a 503 or a closed connection, no receipt that counts all gateways may be
//! wrong, and of what clients saw nothing is lost or counted twice, whatever happens.
//!
//! `FLAMEGATE_CHAOS_SEED` and `FLAMEGATE_CHAOS_FLEET_SECONDS` choose the operations and how long they go on (`make soak FLEET=1`).

#[path = "chaos/fleet.rs"]
mod fleet;
#[path = "chaos/ledger.rs"]
#[allow(dead_code, reason = "no gateway dies here")]
mod ledger;
#[path = "chaos/model.rs"]
#[allow(dead_code, reason = "the model of one control plane has more")]
mod model;

use std::{env, sync::atomic::Ordering, thread, time::Duration, time::Instant};

use flamegate_e2e::random::Random;
use fleet::Chaos;

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn whatever_happens_to_control_planes_and_database_no_answer_is_wrong() {
    let seed = number("FLAMEGATE_CHAOS_SEED", 1);
    let seconds = number("FLAMEGATE_CHAOS_FLEET_SECONDS", 12);
    println!("chaos of a fleet: seed {seed}, {seconds} s");
    let (mut chaos, world) = Chaos::start(seed);
    let begin = Instant::now();
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
            chaos.assert_receipts_are_complete();
        }));
        world.over.store(true, Ordering::SeqCst);
        if let Err(panic) = run {
            eprintln!("chaos of a fleet: seed {seed} failed after {:?}", chaos.steps);
            std::panic::resume_unwind(panic);
        }
    });
    if world.wrong.lock().expect("wrong").is_empty() {
        chaos.assert_usage_is_counted();
    }
    println!(
        "{} requests, slowest enforcement {:?}; {:?}",
        world.requests.load(Ordering::Relaxed),
        chaos.slowest,
        world.done.lock().expect("done"),
    );
    let wrong = world.wrong.lock().expect("wrong");
    assert!(wrong.is_empty(), "seed {seed}, after {:?}: {wrong:#?}", chaos.steps);
}
