//! The sums against what they stand for: a bucket for each moment at which an interval may begin.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows should fail")]

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// A bucket that was empty at one moment and drains by the fastest rate in use since.
struct Ideal {
    used: f64,
    fastest_ns: u64,
}

proptest! {
    #[test]
    fn the_largest_sum_is_no_smaller_than_the_bucket_of_any_beginning(
        steps in prop::collection::vec(
            (0..100 * SECOND, prop::sample::select(vec![1, 7, 10, 60, 600, 3600]), 0..50u64, 0..20u32, any::<bool>()), 1..60,
        ),
    ) {
        let (mut now, mut sums, mut ideals) = (1000 * SECOND, Vec::new(), Vec::<Ideal>::new());
        for (gap, fastest, requests, back, is_back) in steps {
            now += gap;
            for ideal in &mut ideals {
                ideal.used = (ideal.used - gap as f64 / ideal.fastest_ns as f64).max(0.0);
            }
            let fastest_ns = fastest * SECOND;
            ideals.push(Ideal { used: 0.0, fastest_ns });
            let (requests, back) = if is_back { (0, back) } else { (requests, 0) };
            sums = counted(sums, Counted { fastest_ns: Some(fastest_ns), requests, back, used_at: None }, now);
            prop_assert!(sums.len() <= MAX_SUMS);
            prop_assert!(sums.is_sorted_by_key(|sum| sum.quota.emission_ns()));
            let largest = sums.iter().map(|sum| (sum.tat - now) as f64 / sum.quota.emission_ns() as f64);
            let largest = largest.fold(0.0, f64::max);
            for ideal in &mut ideals {
                ideal.fastest_ns = ideal.fastest_ns.min(fastest_ns);
                ideal.used = (ideal.used + requests as f64 - f64::from(back)).max(0.0);
                prop_assert!(largest >= ideal.used - 1e-6, "{} of {}", largest, ideal.used);
            }
        }
    }
}
