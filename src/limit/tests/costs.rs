//! Requests that cost more than one token: all of them at once or none, of no limit more than its burst.

use super::*;
use crate::limit::gcra::Quota;

fn quota(slots: &[Slot]) -> Quota {
    slots[0].account.quota
}

/// What is left in shared data and in the worker's lease.
fn left(limiter: &Limiter, slots: &[Slot]) -> Vec<u64> {
    limiter.remaining(slots).map(|remaining| remaining.tokens).collect()
}

#[test]
fn a_request_takes_its_cost_at_once_and_a_refused_one_takes_nothing() {
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), one((10, 10, 10)));
    assert_eq!(limiter.admit_for(&host, &slots, 7), Ok(()));
    let refusal = limiter.admit_for(&host, &slots, 5).unwrap_err();
    assert_eq!(refusal.retry_after_ns, 2 * SECOND);
    assert_eq!(left(&limiter, &slots), [3]);
    // What costs less finds what is there, although the other refusal still stands.
    assert_eq!(limiter.admit_for(&host, &slots, 2), Ok(()));
    assert_eq!(limiter.admit(&host, &slots), Ok(()));
    assert_eq!(limiter.admit(&host, &slots).unwrap_err().retry_after_ns, SECOND);
    let calls = host.calls();
    assert_eq!(limiter.admit_for(&host, &slots, 5).unwrap_err().retry_after_ns, 5 * SECOND);
    assert_eq!(host.calls(), calls, "whoever costs more is refused by what refuses less");
}

#[test]
fn a_cost_above_the_burst_counts_as_the_burst() {
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), one((10, 10, 4)));
    for cost in [5, 1_000_000, u32::MAX] {
        assert_eq!(limiter.admit_for(&host, &slots, cost), Ok(()), "{cost}");
        assert_eq!(left(&limiter, &slots), [0]);
        assert_eq!(limiter.admit_for(&host, &slots, cost).unwrap_err().retry_after_ns, 4 * SECOND);
        host.advance_ns(4 * SECOND);
    }
}

#[test]
fn every_limit_has_the_cost_or_none_loses_a_token() {
    let limits = [limit("many", Scope::Key, (100, 100, 100)), limit("few", Scope::Workspace, (10, 100, 10))];
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), slots(1, &limits));
    assert_eq!(limiter.admit_for(&host, &slots, 8), Ok(()));
    for _ in 0..5 {
        let refusal = limiter.admit_for(&host, &slots, 8).unwrap_err();
        assert_eq!((refusal.slot, refusal.retry_after_ns), (1, 60 * SECOND));
    }
    tick(&mut limiter, &host, 10);
    assert_eq!(limiter.admit_for(&host, &slots[..1], 92), Ok(()), "what was got for them went back");
}

#[test]
fn without_shared_data_a_worker_counts_costs_by_itself() {
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), one((10, 10, 10)));
    host.fail_reads(Some(10));
    assert_eq!(limiter.admit_for(&host, &slots, 6), Ok(()));
    assert_eq!(limiter.admit_for(&host, &slots, 5).unwrap_err().retry_after_ns, SECOND);
    assert_eq!(limiter.admit_for(&host, &slots, 4), Ok(()));
    host.fail_reads(None);
    tick(&mut limiter, &host, 10);
    let refusal = limiter.admit_for(&host, &slots, 10).unwrap_err();
    assert!(refusal.retry_after_ns > 9 * SECOND, "it is added to the shared state: {refusal:?}");
}

proptest! {
    /// One token in a lease, so nothing is held between requests: whatever requests cost, and whichever worker they meet. A worker that
    /// repeats a refusal does not know what others took since it looked: after the time that it tells a request is admitted unless they did.
    #[test]
    fn small_limits_decide_as_one_ideal_bucket(
        numbers in (1..50_u32, 1..60_u32, 1..100_u32),
        workers in 1..4_usize,
        requests in prop::collection::vec((0..4_usize, 1..130_u32, 0..3_000_000_000_u64), 1..60),
    ) {
        let (host, slots) = (FakeHost::at(100), one(numbers));
        let mut limiters: Vec<_> = (0..workers).map(|_| Limiter::new()).collect();
        let mut tat = 0;
        let mut seen = vec![0; workers];
        for (worker, cost, pause) in requests {
            host.advance_ns(pause);
            let now = host.monotonic();
            let ideal = quota(&slots).take(tat, now, slots[0].need(cost));
            let (limiter, seen) = (&mut limiters[worker % workers], &mut seen[worker % workers]);
            let calls = host.calls();
            let verdict = limiter.admit_for(&host, &slots, cost);
            if host.calls() > calls {
                *seen = tat;
            }
            match (verdict, ideal) {
                (Ok(()), Some(next)) => tat = next,
                (Err(refusal), None) => {
                    let due = now + refusal.retry_after_ns;
                    prop_assert!(quota(&slots).take(*seen, due, slots[0].need(cost)).is_some(), "{refusal:?}");
                }
                (verdict, ideal) => prop_assert!(false, "{verdict:?}, ideally {ideal:?}"),
            }
        }
    }

    #[test]
    fn large_limits_admit_no_more_tokens_than_the_bound(
        numbers in (1..5_000_u32, 1..10_u32, 128..40_000_u32),
        workers in 1..5_usize,
        requests in prop::collection::vec((0..5_usize, 1..3_000_u32, 1..40_u32, 0..300_000_000_u64), 1..60),
    ) {
        let (host, slots) = (FakeHost::at(100), one(numbers));
        let mut limiters: Vec<_> = (0..workers).map(|_| Limiter::new()).collect();
        let (start, mut spent) = (host.monotonic(), 0);
        for (worker, cost, times, pause) in requests {
            host.advance_ns(pause);
            let limiter = &mut limiters[worker % workers];
            limiter.tick(&host);
            for _ in 0..times {
                if limiter.admit_for(&host, &slots, cost).is_ok() {
                    spent += u64::from(slots[0].need(cost));
                }
            }
        }
        let quota = quota(&slots);
        let held = workers as u64 * (u64::from(slots[0].sizing.max) - 1);
        let most = quota.burst() + (host.monotonic() - start) / quota.emission_ns() + held;
        prop_assert!(spent <= most, "{spent} of {most}");
    }
}
