//! The arithmetic against the definition: exact counts, the bound over every window, and the ends of the number range.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows should fail")]

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn quota(requests: u32, window_seconds: u32, burst: u32) -> Quota {
    let non_zero = |n| NonZeroU32::new(n).unwrap();
    Quota::new(non_zero(requests), non_zero(window_seconds), non_zero(burst))
}

/// Times of the admitted requests when one request comes at each of `times`.
fn admitted(quota: Quota, times: &[u64]) -> Vec<u64> {
    let mut tat = 0;
    let mut admit = |now: &&u64| quota.take(tat, **now, 1).map(|next| tat = next).is_some();
    times.iter().filter(&mut admit).copied().collect()
}

#[test]
fn admits_the_burst_at_once_and_then_one_per_interval() {
    let quota = quota(5, 60, 3);
    let times: Vec<_> = (0..600).map(|tenth| 100 * SECOND + tenth * SECOND / 10).collect();
    let expected: Vec<_> = [100, 100, 100, 112, 124, 136, 148].map(|second| second * SECOND).to_vec();
    let mut asked = vec![100 * SECOND; 5];
    asked.extend(&times[1..]);
    assert_eq!(admitted(quota, &asked), expected);
}

#[test]
fn a_rest_brings_the_burst_back_and_not_more() {
    let quota = quota(10, 1, 4);
    let mut times = vec![SECOND; 10];
    times.extend([3600 * SECOND; 10]);
    assert_eq!(admitted(quota, &times).len(), 8);
}

#[test]
fn a_state_too_far_ahead_counts_as_exhausted_and_recovers() {
    let quota = quota(10, 1, 4);
    let now = 7 * SECOND;
    for tat in [u64::MAX, now + quota.capacity_ns() + 1, now + quota.capacity_ns()] {
        assert_eq!(quota.available(tat, now), 0);
        assert_eq!(quota.wait_ns(tat, now, 1), SECOND / 10);
        assert_eq!(quota.settle(tat, now, 0, 0), now + quota.capacity_ns());
    }
}

#[test]
fn what_is_put_back_into_a_full_limit_is_gone() {
    let quota = quota(10, 1, 4);
    let tat = quota.take(0, SECOND, 2).unwrap();
    assert_eq!(quota.settle(tat, SECOND, 0, 1), quota.take(0, SECOND, 1).unwrap());
    assert_eq!(quota.settle(tat, 2 * SECOND, 0, 2), 2 * SECOND);
    assert_eq!(quota.available(2 * SECOND, 2 * SECOND), 4);
}

#[test]
fn debts_count_like_requests() {
    let quota = quota(10, 1, 4);
    let tat = quota.settle(0, SECOND, 3 * quota.emission_ns(), 0);
    assert_eq!(quota.available(tat, SECOND), 1);
    assert_eq!(quota.available(quota.settle(tat, SECOND, u64::MAX, 0), SECOND), 0);
}

#[test]
fn the_rate_is_never_above_the_limit_and_hardly_below() {
    for (requests, window) in [(1_000_000, 1), (999_983, 1), (7, 60), (3, 1), (1, 2_678_400)] {
        let ideal = f64::from(window) * 1e9 / f64::from(requests);
        let ratio = quota(requests, window, 1).emission_ns() as f64 / ideal;
        assert!((1.0..=1.001).contains(&ratio), "{requests} per {window} s: {ratio}");
    }
}

#[test]
fn a_burst_that_would_take_longer_than_the_clock_lasts_is_cut() {
    let quota = quota(1, u32::MAX, u32::MAX);
    assert!(quota.burst() >= 1);
    assert!(quota.capacity_ns() <= MAX_CAPACITY_NS);
    let monthly = self::quota(1_000_000, 2_678_400, 1_000_000);
    assert_eq!(monthly.burst(), 1_000_000);
}

fn any_quota() -> impl Strategy<Value = Quota> {
    let number = || prop_oneof![1..=10u32, 1..=10_000u32, 1..=u32::MAX, Just(u32::MAX)];
    (number(), number(), number()).prop_map(|(requests, window, burst)| quota(requests, window, burst))
}

fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![0..10 * SECOND, any::<u64>(), Just(u64::MAX)]
}

proptest! {
    #[test]
    fn no_window_admits_more_than_burst_and_rate(
        requests in 1..2000u32, window in 1..100u32, burst in 1..20u32,
        gaps in prop::collection::vec(prop_oneof![Just(0), 0..SECOND / 100, 0..20 * SECOND], 1..120),
    ) {
        let quota = quota(requests, window, burst);
        let times: Vec<_> = gaps.iter().scan(SECOND, |now, gap| { *now += gap; Some(*now) }).collect();
        let admitted = admitted(quota, &times);
        for (first, start) in admitted.iter().enumerate() {
            for (last, end) in admitted.iter().enumerate().skip(first) {
                let bound = quota.burst() + (end - start) / quota.emission_ns();
                prop_assert!(bound > (last - first) as u64, "{} in {} ns", last - first + 1, end - start);
            }
        }
    }

    #[test]
    fn after_the_wait_and_not_before_a_token_is_there(
        quota in any_quota(), tat in any_time(), now in 0..u64::MAX / 4,
    ) {
        let wait = quota.wait_ns(tat, now, 1);
        prop_assert_eq!(wait == 0, quota.available(tat, now) > 0);
        prop_assert!(wait <= quota.emission_ns());
        // Clamped as `update` would store it; a wait counts from there.
        let tat = quota.settle(tat, now, 0, 0);
        prop_assert!(quota.take(tat, now + wait, 1).is_some());
        if wait > 0 {
            prop_assert!(quota.take(tat, now + wait - 1, 1).is_none());
        }
    }

    #[test]
    fn taking_and_putting_back_changes_nothing(
        quota in any_quota(), tat in any_time(), now in 0..u64::MAX / 4, tokens in 1..1000u32,
    ) {
        let clamped = quota.settle(tat, now, 0, 0);
        if let Some(taken) = quota.take(tat, now, tokens) {
            prop_assert_eq!(quota.settle(taken, now, 0, tokens), clamped);
            prop_assert_eq!(quota.available(taken, now) + u64::from(tokens), quota.available(tat, now));
        } else {
            prop_assert!(quota.available(tat, now) < u64::from(tokens));
        }
    }

    #[test]
    fn no_number_is_too_large(
        quota in any_quota(), tat in any_time(), now in any_time(), debt in any_time(), tokens in any::<u32>(),
    ) {
        quota.take(tat, now, tokens);
        quota.wait_ns(tat, now, 1);
        prop_assert!(quota.settle(tat, now, debt, tokens) >= now);
        prop_assert!(quota.available(tat, now) <= quota.burst());
    }
}
