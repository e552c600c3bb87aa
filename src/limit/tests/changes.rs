//! Limits whose numbers change: what was used stays used, counted in requests, and nothing goes on by an old rate.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows should fail")]

use super::*;
use crate::limit::gcra::Quota;

pub(super) type Numbers = (u32, u32, u32);

const OLD: Numbers = (10, 3600, 10);
const RAISED: Numbers = (1000, 3600, 1000);

pub(super) fn workspace(key: u8, numbers: Numbers) -> Vec<Slot> {
    slots(key, &[limit("shared", Scope::Workspace, numbers)])
}

/// Two workers, and how many of so many requests on each were admitted.
pub(super) struct Pair {
    host: FakeHost,
    workers: [Limiter; 2],
}

impl Pair {
    pub(super) fn new() -> Self {
        Self { host: FakeHost::at(100), workers: [Limiter::new(), Limiter::new()] }
    }

    pub(super) fn admitted(&mut self, slots: &[Slot], requests: u32) -> usize {
        self.workers.iter_mut().map(|worker| admitted(worker, &self.host, slots, requests)).sum()
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.host.advance_ns(seconds * SECOND);
        self.workers.iter_mut().for_each(|worker| worker.tick(&self.host));
    }
}

#[test]
fn a_raised_limit_admits_at_once_what_the_new_numbers_leave() {
    let mut pair = Pair::new();
    assert_eq!(pair.admitted(&one(OLD), 20), 10);
    assert_eq!(pair.admitted(&one(RAISED), 25), 50, "both refused a moment ago, by the old numbers");
    assert_eq!(pair.admitted(&one(RAISED), 1000), 940, "ten were used before");
    pair.wait(36);
    assert_eq!(pair.admitted(&one(RAISED), 1000), 10, "the new rate holds");
}

#[test]
fn a_lowered_limit_counts_what_was_used_up_to_its_burst() {
    let mut pair = Pair::new();
    assert_eq!(pair.admitted(&one((100, 3600, 100)), 2), 4);
    assert_eq!(pair.admitted(&one(OLD), 100), 6);
    pair.wait(360);
    assert_eq!(pair.admitted(&one(OLD), 100), 1);
    let mut pair = Pair::new();
    assert_eq!(pair.admitted(&one(RAISED), 250), 500);
    let refusal = pair.workers[0].admit(&pair.host, &one(OLD)).unwrap_err();
    assert_eq!(refusal.retry_after_seconds(), 360, "the next token, and not what 490 more would take");
    for _ in 0..3 {
        pair.wait(360);
        assert_eq!(pair.admitted(&one(OLD), 100), 1);
    }
}

#[test]
fn another_window_or_burst_keeps_what_was_used() {
    for (numbers, left, seconds) in [
        ((10, 60, 10), 3, 6),
        ((10, 86_400, 10), 3, 8640),
        ((10, 3600, 8), 1, 360),
        ((10, 3600, 7), 0, 360),
        ((10, 3600, 5), 0, 360),
        ((10, 3600, 100), 93, 360),
        ((3600, 3600, 100), 93, 1),
    ] {
        let mut pair = Pair::new();
        assert_eq!(admitted(&mut pair.workers[0], &pair.host, &one(OLD), 7), 7);
        assert_eq!(pair.admitted(&one(numbers), 1000), left, "{numbers:?}");
        pair.wait(seconds);
        assert_eq!(pair.admitted(&one(numbers), 1000), 1, "{numbers:?}");
    }
}

#[test]
fn a_limit_of_a_workspace_is_counted_on_for_all_its_keys() {
    let mut pair = Pair::new();
    assert_eq!(pair.admitted(&workspace(1, OLD), 20), 10);
    assert_eq!(pair.admitted(&workspace(2, RAISED), 25), 50);
    assert_eq!(pair.admitted(&workspace(1, RAISED), 1000), 940);
    assert_eq!(
        pair.admitted(&workspace(3, (20, 3600, 20)), 1000),
        0,
        "a change of the numbers is no new burst"
    );
}

#[test]
fn a_limit_that_is_removed_and_comes_back_has_only_rested_meanwhile() {
    let mut pair = Pair::new();
    assert_eq!(pair.admitted(&one(OLD), 20), 10);
    pair.wait(1800);
    assert_eq!(pair.admitted(&[], 100), 200, "without limits");
    pair.wait(1);
    assert_eq!(pair.admitted(&one(OLD), 20), 5);
    pair.wait(7200);
    assert_eq!(pair.admitted(&one(RAISED), 1000), 1000);
}

#[test]
fn changing_there_and_back_makes_no_new_burst() {
    let mut pair = Pair::new();
    let mut all = 0;
    for n in 0..200 {
        all += pair.admitted(&one(OLD), 3);
        all += pair.admitted(&one((10, 3600 + n, 10)), 3);
        pair.host.advance_ns(SECOND / 100);
    }
    assert_eq!(all, 10);
}

#[test]
fn workers_that_know_different_numbers_for_a_moment_keep_to_the_larger_ones() {
    let (old, new) = (one(OLD), one((100, 3600, 100)));
    let mut pair = Pair::new();
    let [behind, ahead] = &mut pair.workers;
    let mut all = admitted(behind, &pair.host, &old, 5);
    for _ in 0..40 {
        all += admitted(ahead, &pair.host, &new, 2);
        all += admitted(behind, &pair.host, &old, 1);
        pair.host.advance_ns(SECOND / 10_000);
    }
    assert_eq!(all, 5 + 80 + 1, "who is behind counts what the other admits, and the other way round");
    assert_eq!(pair.admitted(&new, 1000), 100 - all);
}

#[test]
fn who_disagrees_for_good_counts_all_requests_each_by_its_own_rate() {
    let mut pair = Pair::new();
    let (tight, loose) = (workspace(1, (5, 3600, 5)), workspace(2, (5, 1, 5)));
    assert_eq!(pair.admitted(&tight, 1), 2);
    let (mut by_tight, mut by_loose) = (0, 0);
    for _ in 0..720 {
        by_loose += pair.admitted(&loose, 3);
        by_tight += pair.admitted(&tight, 1);
        pair.wait(1);
    }
    assert_eq!(by_loose, 3 + 719 * 5 - by_tight, "never refused by an hour's rate");
    assert!(by_tight <= 1, "and never looser than five an hour: {by_tight}");
}

#[test]
fn a_lease_of_old_numbers_is_not_spent_and_does_not_loosen_the_new_ones_when_it_goes_back() {
    let mut pair = Pair::new();
    let large = one((1_000_000, 3600, 1_000_000));
    assert_eq!(pair.admitted(&large, 1), 2);
    assert_eq!(pair.admitted(&one(OLD), 100), 0, "the leases count as used until they go back");
    pair.wait(61);
    assert_eq!(pair.admitted(&one(OLD), 100), 0);
    pair.wait(360 - 61);
    assert_eq!(pair.admitted(&one(OLD), 100), 1);
}

#[test]
fn what_was_admitted_without_shared_data_is_counted_by_the_new_numbers() {
    let mut pair = Pair::new();
    pair.host.fail_writes(Some(10));
    assert_eq!(admitted(&mut pair.workers[0], &pair.host, &one(OLD), 6), 6);
    pair.host.fail_writes(None);
    pair.host.advance_ns(HOLD_NS);
    assert_eq!(admitted(&mut pair.workers[1], &pair.host, &one(RAISED), 1), 1);
    pair.wait(0);
    assert_eq!(pair.admitted(&one(RAISED), 1000), 1000 - 1 - 6);
}

#[test]
fn what_remains_is_told_by_the_new_numbers() {
    let mut pair = Pair::new();
    let (old, new) = (one(OLD), one((20, 60, 20)));
    assert_eq!(admitted(&mut pair.workers[0], &pair.host, &old, 4), 4);
    pair.workers[0].admit(&pair.host, &new).unwrap();
    let left = pair.workers[0].remaining(&new).next().unwrap();
    assert_eq!(left, Remaining { tokens: 15, reset_seconds: 15 });
}

/// What happens in a history: requests on a worker, a pause, other numbers.
#[derive(Clone, Debug)]
enum Event {
    Requests(usize, u32),
    Pause(u64),
    Change(Numbers),
}

fn any_event() -> impl Strategy<Value = Event> {
    // Bursts below 128 and at most 1000 a second, where the limiter is exact.
    let numbers = (1..100u32, prop_oneof![Just(1u32), 1..100u32, Just(3600)], 1..100u32);
    prop_oneof![
        4 => (0..4usize, 1..60u32).prop_map(|(worker, count)| Event::Requests(worker, count)),
        3 => prop_oneof![0..SECOND / 10, 0..30 * SECOND].prop_map(Event::Pause),
        1 => numbers.prop_map(Event::Change),
    ]
}

pub(super) fn quota((requests, window, burst): Numbers) -> Quota {
    let number = |n| NonZeroU32::new(n).unwrap();
    Quota::new(number(requests), number(window), number(burst))
}

/// A token bucket that counts in requests. Its burst only grows: what a smaller one does not count is not forgotten
/// (`bound.rs`).
struct Ideal {
    used: f64,
    quota: Quota,
    at: u64,
}

impl Ideal {
    fn rest(&mut self, now: u64) {
        self.used = (self.used - (now - self.at) as f64 / self.quota.emission_ns() as f64).max(0.0);
        self.at = now;
    }

    fn change(&mut self, numbers: Numbers) {
        self.quota = quota(numbers);
    }

    /// Whether a request is admitted; `None` when it is too close to tell.
    fn admits(&self) -> Option<bool> {
        let room = self.quota.burst() as f64 - self.used - 1.0;
        (room.abs() > 1e-5).then_some(room > 0.0)
    }
}

proptest! {
    #[test]
    fn decides_like_one_bucket_that_counts_requests_whatever_changes(
        first in (1..100u32, 1..100u32, 1..100u32), events in prop::collection::vec(any_event(), 1..60),
    ) {
        let host = FakeHost::at(100);
        let mut workers: Vec<_> = (0..4).map(|_| Limiter::new()).collect();
        let mut seen = vec![first];
        let mut ideal = Ideal { used: 0.0, quota: quota(first), at: host.monotonic() };
        let (mut current, mut largest) = (one(first), first.2);
        for event in events {
            match event {
                Event::Pause(ns) => {
                    host.advance_ns(ns);
                    workers.iter_mut().for_each(|worker| worker.tick(&host));
                    ideal.rest(host.monotonic());
                }
                // Numbers that come back find their own count, which has another test.
                Event::Change((requests, window, burst)) if !seen.iter().any(|known| quota(*known) == quota((requests, window, burst.max(largest)))) => {
                    largest = burst.max(largest);
                    let numbers = (requests, window, largest);
                    // Of two changes within a second the larger count goes on.
                    host.advance_ns(SECOND);
                    ideal.rest(host.monotonic());
                    ideal.change(numbers);
                    current = one(numbers);
                    seen.push(numbers);
                    // Somebody asks by them, so that it is these that the next ones go on from.
                    let _ = workers[0].admit(&host, &current).map(|()| ideal.used += 1.0);
                }
                Event::Change(_) => {}
                Event::Requests(worker, count) => for _ in 0..count {
                    let admitted = workers[worker].admit(&host, &current).is_ok();
                    if let Some(expected) = ideal.admits() {
                        prop_assert_eq!(admitted, expected, "{} used of {:?}", ideal.used, ideal.quota);
                    }
                    ideal.used += f64::from(u8::from(admitted));
                },
            }
        }
    }

    #[test]
    fn across_a_change_the_larger_of_both_holds(
        old in (1..2000u32, 1..100u32, 1..500u32), new in (1..2000u32, 1..100u32, 1..500u32),
        moves in prop::collection::vec((0..4usize, 0..40u32, 0..SECOND / 10), 30..90), change in 0..30usize,
    ) {
        let host = FakeHost::at(100);
        let begin = host.monotonic();
        let mut workers: Vec<_> = (0..4).map(|_| Limiter::new()).collect();
        let mut all = 0u64;
        for (step, (worker, count, gap)) in moves.into_iter().enumerate() {
            // Workers learn of it one after the other, a step each.
            let numbers = if step < change + worker { old } else { new };
            for _ in 0..count {
                all += u64::from(workers[worker].admit(&host, &one(numbers)).is_ok());
            }
            host.advance_ns(gap);
            workers.iter_mut().for_each(|worker| worker.tick(&host));
        }
        let (old, new) = (quota(old), quota(new));
        let largest = |quota: Quota| (quota.burst() / 64).clamp(1, 256);
        let fastest = old.emission_ns().min(new.emission_ns());
        let most = old.burst().max(new.burst())
            + (host.monotonic() - begin) / fastest
            + 4 * (largest(old) + largest(new) - 2);
        prop_assert!(all <= most, "{all} > {most}");
    }
}
