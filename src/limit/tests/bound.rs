//! The bound of limits whose numbers change, over every interval of a history, and the ways around it that were tried: small sets of
//! numbers that wash a count, sets that take turns, records that disagree and rest in between.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows should fail")]

use super::changes::{Numbers, Pair, quota, workspace};
use super::*;

const HOUR: Numbers = (1000, 3600, 1000);

#[test]
fn small_sets_of_numbers_do_not_wash_what_was_used() {
    let mut pair = Pair::new();
    let mut all = pair.admitted(&one(HOUR), 2000);
    for _ in 0..5 {
        for n in 1..=4 {
            pair.wait(1);
            all += pair.admitted(&one((1, 3600 + n, 1)), 1);
        }
        pair.wait(1);
        all += pair.admitted(&one(HOUR), 2000);
    }
    assert!((1000..=1000 + 25 * 1000 / 3600).contains(&all), "{all} in 25 s");
}

#[test]
fn nor_does_one_small_set_between_large_ones_that_are_new_each_time() {
    for pause in [1, 30, 61] {
        let mut pair = Pair::new();
        let mut all = 0;
        for n in 0..10 {
            all += pair.admitted(&one((1000, 3600, 1000 - n)), 2000);
            pair.wait(pause);
            all += pair.admitted(&one((1, 3600 + n, 1)), 1);
            pair.wait(pause);
        }
        let most = 1000 + 20 * usize::try_from(pause).unwrap() * 1000 / 3600;
        assert!((1000..=most).contains(&all), "{all} > {most}, a change each {pause} s");
    }
}

#[test]
fn sets_of_numbers_that_take_turns_count_each_others_requests() {
    let (a, b) = (HOUR, (1000, 3600, 999));
    let mut pair = Pair::new();
    let mut all = pair.admitted(&one(a), 1) + pair.admitted(&one(b), 1);
    pair.wait(61);
    all += pair.admitted(&one(b), 2000);
    pair.wait(1);
    all += pair.admitted(&one(a), 2000);
    assert!((990..=1000 + 62 * 1000 / 3600).contains(&all), "{all} in 62 s");
    let mut pair = Pair::new();
    for minute in 0..240 {
        all = if minute == 60 { 0 } else { all };
        pair.wait(61);
        all += pair.admitted(&one((1000, 3600, 1000 - minute % 4)), 2000);
    }
    assert!(all <= 1000 + 180 * 61 * 1000 / 3600, "{all} in three hours");
}

#[test]
fn two_records_that_disagree_and_rest_in_between_hold_one_bound() {
    let mut pair = Pair::new();
    let (file, pages) = (workspace(1, (1000, 86_400, 1000)), workspace(2, (1000, 86_400, 900)));
    let mut all = pair.admitted(&file, 1) + pair.admitted(&pages, 1);
    for _ in 0..10 {
        pair.wait(61);
        all += pair.admitted(&pages, 2000);
        pair.wait(61);
        all += pair.admitted(&file, 2000);
    }
    assert!((1000..=1000 + 20 * 61 * 1000 / 86_400).contains(&all), "{all} of 1000 a day");
}

#[test]
fn what_came_back_by_a_faster_rate_while_that_was_enforced_is_not_counted_for_ever() {
    let mut pair = Pair::new();
    assert_eq!(pair.admitted(&one(HOUR), 2000), 1000);
    assert_eq!(pair.admitted(&one((10, 3600, 10)), 20), 0);
    for _ in 0..20 {
        pair.wait(360);
        assert_eq!(pair.admitted(&one((10, 3600, 10)), 20), 1, "ten an hour, used to the full for two hours");
    }
    let left = pair.admitted(&one((2000, 3600, 2000)), 2000);
    assert!((1980..=1991).contains(&left), "a thousand an hour are back after an hour: {left}");
}

#[test]
fn leased_tokens_that_go_back_are_not_used_by_new_numbers() {
    let mut pair = Pair::new();
    let (a, b, c) = ((10_000, 3600, 10_000), (10_000, 3600, 9999), (10_000, 3600, 9998));
    assert_eq!(pair.admitted(&one(a), 1) + pair.admitted(&one(b), 1), 4);
    for _ in 0..100 {
        assert_eq!(pair.admitted(&one(b), 40), 80);
        pair.wait(1);
    }
    pair.wait(120);
    let left = pair.admitted(&one(c), 10_000);
    assert!(left >= 9998 - 8004, "what was leased and not used is there: {left}");
}

/// Numbers of about one rate, where every burst too many shows, or any.
fn any_numbers() -> impl Strategy<Value = Numbers> {
    let burst = prop_oneof![1..4u32, 1..127u32, 1..3000u32];
    let slow = (100..200u32, 30_000..40_000u32, burst.clone());
    prop_oneof![3 => slow, 1 => (1..2000u32, prop_oneof![1..100u32, Just(3600)], burst)]
}

fn any_pause() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..2 * SECOND, 2 => 58 * SECOND..64 * SECOND, 1 => 0..1000 * SECOND]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn in_every_interval_the_largest_burst_and_the_fastest_rate_hold(
        sets in prop::collection::vec(any_numbers(), 2..8),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0..3usize, prop_oneof![1..4u32, 1..3000u32], any_pause()), 2..40),
    ) {
        let host = FakeHost::at(100);
        let mut workers: Vec<_> = (0..3).map(|_| Limiter::new()).collect();
        let mut history = Vec::new();
        for (set, worker, count, pause) in steps {
            let numbers = *set.get(&sets);
            let admitted = admitted(&mut workers[worker], &host, &one(numbers), count);
            history.push((host.monotonic(), quota(numbers), admitted as u64));
            host.advance_ns(pause);
            workers.iter_mut().for_each(|worker| worker.tick(&host));
        }
        for first in 0..history.len() {
            let begin = history[first].0;
            let minute_before = history[..first].iter().filter(|(at, ..)| begin - at <= 61 * SECOND);
            let mut fastest = minute_before.map(|(_, quota, _)| quota.emission_ns()).min().unwrap_or(u64::MAX);
            let (mut all, mut burst, mut used) = (0, 0, Vec::new());
            for (at, quota, admitted) in &history[first..] {
                (all, burst, fastest) = (all + admitted, quota.burst().max(burst), quota.emission_ns().min(fastest));
                if !used.contains(quota) {
                    used.push(*quota);
                }
                let leased: u64 = used.iter().map(|quota| 3 * ((quota.burst() / 64).clamp(1, 256) - 1)).sum();
                let most = burst + (at - begin) / fastest + leased;
                prop_assert!(all <= most, "{} > {} from {} to {}", all, most, begin, at);
            }
        }
    }
}
