//! The limiter as a whole: up to 64 simulated workers on one host, skewed random load, faults. Every run is compared with
//! one ideal token bucket that sees the same requests, and with the bound in the documentation of `flamegate::limit`.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that overflows or finds nothing should fail"
)]

mod simulation;

use flamegate::limit::Limiter;
use flamegate::limit::bucket::BUCKETS;

use simulation::{Cluster, Numbers, Racing, SECOND, TICK, lease_max, slot, slot_of, worst_excess};

const WORKERS: [usize; 4] = [1, 2, 8, 64];
/// One token per lease and at most 1000 a second: exact.
const SMALL: [Numbers; 6] =
    [(5, 60, 5), (10, 1, 10), (50, 10, 1), (100, 1, 100), (1000, 1, 100), (100, 1, 20)];
const LARGE: [Numbers; 6] = [
    (100, 1, 1000),
    (1000, 1, 1000),
    (10_000, 1, 10_000),
    (10_000, 1, 500),
    (60_000, 60, 60_000),
    (20_000, 1, 100),
];

#[test]
fn small_limits_decide_like_one_ideal_bucket_whatever_the_number_of_workers() {
    for numbers in SMALL {
        for workers in WORKERS {
            for seed in [1, 2, 3] {
                let rate = u64::from(numbers.0) / u64::from(numbers.1);
                let seconds = if rate == 0 { 600 } else { 20 };
                let mut cluster = Cluster::new(workers, seed * 7919);
                let outcome = cluster.run(&slot(numbers), numbers, 3 * rate + 1, seconds);
                assert_eq!(outcome.differences, 0, "{numbers:?}, {workers} workers, seed {seed}");
                assert!(outcome.ideal < outcome.requests as usize, "{numbers:?}: the limit was reached");
            }
        }
    }
}

#[test]
fn large_limits_stay_within_the_bound_and_lose_at_most_two_percent() {
    for numbers in LARGE {
        for workers in WORKERS {
            for tenths in [5, 15, 30] {
                let rate = u64::from(numbers.0) / u64::from(numbers.1);
                let seconds = if rate > 1000 { 5 } else { 25 };
                let mut cluster = Cluster::new(workers, 104_729 * tenths);
                let outcome = cluster.run(&slot(numbers), numbers, rate * tenths / 10, seconds);
                let excess = worst_excess(&outcome.admitted, numbers);
                let bound = workers as u64 * (lease_max(numbers) - 1);
                let ratio = outcome.admitted.len() as f64 / outcome.ideal as f64;
                let (reads, writes) = cluster.host.calls();
                let calls = (reads + writes) as f64 / outcome.requests as f64;
                println!(
                    "{numbers:?} load {tenths}/10, {workers:2} workers: {:.4} of ideal, excess {excess} (bound {bound}), \
                     {calls:.3} host calls per request",
                    ratio
                );
                assert!(
                    excess <= bound as i64,
                    "{numbers:?}, {workers} workers, load {tenths}/10: {excess} > {bound}"
                );
                assert!(ratio >= 0.98, "{numbers:?}, {workers} workers, load {tenths}/10: {ratio}");
            }
        }
    }
}

#[test]
fn leases_filled_while_the_limit_is_at_rest_exceed_the_burst_by_no_more_than_the_bound() {
    // The worst case: every worker has a full lease that it does not use, the limit comes to rest, and all spend at once.
    let numbers = (1_000_000, 1, 10_000);
    let slot = slot(numbers);
    for workers in WORKERS {
        let mut cluster = Cluster::new(workers, 1);
        for _ in 0..9 {
            for worker in 0..workers {
                let refilled = (0..200).any(|_| {
                    let before = cluster.host.calls();
                    cluster.workers[worker].admit(&cluster.host, std::slice::from_ref(&slot)).unwrap();
                    cluster.host.calls() != before
                });
                assert!(refilled);
                // Leases of the last round are younger than 100 ms at the end, so no tick would have taken them.
                cluster.host.advance_ns(SECOND / 1000);
            }
        }
        cluster.host.advance_ns(SECOND / 100);
        let mut admitted = 0;
        for worker in &mut cluster.workers {
            admitted += (0..20_000)
                .filter(|_| worker.admit(&cluster.host, std::slice::from_ref(&slot)).is_ok())
                .count();
        }
        let excess = admitted as u64 - 10_000;
        assert_eq!(
            excess,
            workers as u64 * (lease_max(numbers) - 1),
            "{workers} workers: the bound, and it is reached"
        );
    }
}

#[test]
fn workers_that_meet_between_reading_and_writing_lose_no_token_and_invent_none() {
    for numbers in [(5, 60, 5), (100, 10, 100), (60, 3600, 120)] {
        let slot = slot(numbers);
        let racing = Racing::new(&slot);
        let mut worker = Limiter::new();
        let own = (0..1000).filter(|_| worker.admit(&racing, std::slice::from_ref(&slot)).is_ok()).count();
        assert_eq!(own as u64 + racing.admitted.get(), u64::from(numbers.2), "{numbers:?}");
        assert!(racing.admitted.get() > 0);
        assert_eq!(worker.take_fallbacks(), 0);
    }
}

#[test]
fn conflicts_faults_and_lost_data_never_open_the_limit_and_never_close_it() {
    let numbers = (200, 1, 200);
    let slot = slot(numbers);
    for workers in WORKERS {
        let mut cluster = Cluster::new(workers, 99);
        let healthy = cluster.run(&slot, numbers, 600, 5);
        cluster.host.inject_conflicts(2000);
        let contended = cluster.run(&slot, numbers, 600, 5);
        cluster.host.inject_conflicts(0);
        cluster.host.fail_reads(Some(10));
        let unreadable = cluster.run(&slot, numbers, 600, 5);
        cluster.host.fail_reads(None);
        cluster.host.fail_writes(Some(10));
        let unwritable = cluster.run(&slot, numbers, 600, 5);
        cluster.host.fail_writes(None);
        cluster.host.wipe();
        let wiped = cluster.run(&slot, numbers, 600, 5);
        let lease = workers as i64 * (lease_max(numbers) as i64 - 1);
        assert!(worst_excess(&healthy.admitted, numbers) <= lease);
        assert!(worst_excess(&wiped.admitted, numbers) <= lease, "lost data is one more burst, not more");
        for outcome in [contended, unreadable, unwritable] {
            // Per worker now: burst and rate for each, but no more than what was asked.
            let most = workers as u64 * (200 + 51 * 200 / 10 + lease_max(numbers));
            let count = outcome.admitted.len() as u64;
            assert!(count <= most, "{workers} workers: {count} > {most}");
            assert!(count >= 980, "{workers} workers: {count} of 1000 in five seconds");
        }
        let fallbacks: u64 = cluster.workers.iter_mut().map(Limiter::take_fallbacks).sum();
        assert!(fallbacks > 0);
    }
}

#[test]
fn a_hot_key_seldom_touches_shared_data() {
    let numbers = (1_000_000, 60, 1_000_000);
    let slot = slot(numbers);
    for (workers, most) in [(1, 0.02), (2, 0.03), (8, 0.1), (64, 0.5)] {
        let mut cluster = Cluster::new(workers, 5);
        cluster.run(&slot, numbers, 15_000, 1);
        let before = cluster.host.calls();
        let outcome = cluster.run(&slot, numbers, 15_000, 10);
        let after = cluster.host.calls();
        let calls = (after.0 + after.1 - before.0 - before.1) as f64 / outcome.requests as f64;
        assert!(calls <= most, "{workers} workers: {calls} host calls per request");
    }
}

#[test]
fn a_flood_on_a_used_up_limit_costs_a_few_calls_and_not_one_per_request() {
    for numbers in [(5, 60, 5), (100, 1, 100), (10_000, 1, 100), (10_000, 1, 10_000)] {
        let mut cluster = Cluster::new(8, 5);
        let slot = slot(numbers);
        cluster.run(&slot, numbers, 100_000, 1);
        let before = cluster.host.calls();
        let outcome = cluster.run(&slot, numbers, 100_000, 2);
        let after = cluster.host.calls();
        let calls = (after.0 + after.1 - before.0 - before.1) as f64 / outcome.requests as f64;
        assert!(calls < 0.4, "{numbers:?}: {calls} host calls per request");
    }
}

#[test]
fn memory_follows_the_subjects_in_use_and_returns_to_nothing() {
    let mut cluster = Cluster::new(4, 77);
    for subject in 0..20_000 {
        let slot = slot_of(&format!("ws_{subject}"), (10, 60, 10));
        let worker = cluster.skewed_worker();
        cluster.workers[worker].admit(&cluster.host, &[slot]).unwrap();
    }
    let full = cluster.host.total_bytes();
    let names: usize = cluster.host.keys().iter().map(String::len).sum();
    assert_eq!(
        full,
        20_000 * 40 + cluster.host.keys().len() + names,
        "40 bytes a subject, a version byte and the name of a bucket"
    );
    assert!(cluster.host.keys().len() <= usize::from(BUCKETS));
    cluster.advance(TICK * 32 * u64::from(BUCKETS));
    assert_eq!(cluster.host.total_bytes(), names, "only the names are left");
    assert!(cluster.workers.iter().all(|worker| worker.subjects() == 0));
}

#[test]
fn what_busy_workers_leave_unused_comes_back_to_the_others() {
    let numbers = (1000, 1000, 2000);
    let slot = slot(numbers);
    let mut cluster = Cluster::new(8, 3);
    cluster.run(&slot, numbers, 2000, 1);
    cluster.advance(150_000_000);
    let spent = cluster.run(&slot, numbers, 100_000, 1);
    cluster.advance(SECOND / 10);
    let last = cluster.run(&slot, numbers, 100_000, 1);
    assert!(spent.admitted.len() < 2000);
    assert!(last.admitted.len() <= 4, "nothing was parked any more: {}", last.admitted.len());
}
