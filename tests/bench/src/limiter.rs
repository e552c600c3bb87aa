//! `flamegate-bench limiter`: what the limiter admits compared with one ideal token bucket that sees the same requests, for
//! 1 to 64 workers with skewed load. It is the simulation of the limiter's tests; nothing here runs Envoy.

use serde_json::{Value, json};

#[path = "../../limiter/simulation.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod simulation;

use simulation::{Cluster, Numbers, lease_max, slot, worst_excess};

const WORKERS: [usize; 4] = [1, 2, 8, 64];
/// (requests, window in seconds, burst)
const LIMITS: [Numbers; 6] =
    [(5, 60, 5), (100, 1, 100), (100, 1, 1000), (1000, 1, 1000), (10_000, 1, 10_000), (60_000, 60, 1_000)];
/// Load relative to the limit, in tenths.
const LOADS: [u64; 3] = [5, 15, 30];

/// Runs all combinations; one object each.
pub fn run() -> Vec<Value> {
    let mut rows = Vec::new();
    for numbers in LIMITS {
        for workers in WORKERS {
            for tenths in LOADS {
                let row = one(numbers, workers, tenths);
                println!("{row}");
                rows.push(row);
            }
        }
    }
    rows
}

fn one(numbers: Numbers, workers: usize, tenths: u64) -> Value {
    let rate = f64::from(numbers.0) / f64::from(numbers.1);
    let seconds = if rate < 1.0 {
        1_200
    } else if rate > 1_000.0 {
        5
    } else {
        25
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate from 1 to 30,000")]
    let load = ((rate * tenths as f64 / 10.0) as u64).max(1);
    let mut cluster = Cluster::new(workers, 104_729 * tenths);
    let outcome = cluster.run(&slot(numbers), numbers, load, seconds);
    let (reads, writes) = cluster.host.calls();
    json!({
        "limit": [numbers.0, numbers.1, numbers.2], "workers": workers, "load_tenths": tenths,
        "requests": outcome.requests, "ideal": outcome.ideal, "admitted": outcome.admitted.len(),
        "excess": worst_excess(&outcome.admitted, numbers),
        "bound": workers as u64 * (lease_max(numbers) - 1),
        "host_calls_per_request": (reads + writes) as f64 / outcome.requests as f64})
}
