//! One worker, or a few, step by step: leases, refusals, several limits at once, and what happens without shared data.

use std::num::NonZeroU32;

use proptest::prelude::*;

mod bound;
mod changes;
mod costs;

use super::*;
use crate::contract::key::{Environment, KeyHash};
use crate::contract::record::{KeyRecord, Limit, Scope};
use crate::host::fake::FakeHost;

const SECOND: u64 = 1_000_000_000;
const TICK: u64 = 20_000_000;

fn limit(name: &str, scope: Scope, (requests, window, burst): (u32, u32, u32)) -> Limit {
    let number = |n| NonZeroU32::new(n).unwrap();
    let (requests, window_seconds, burst) = (number(requests), number(window), Some(number(burst)));
    Limit { name: name.to_owned(), scope, burst, ..Limit::per(requests, window_seconds) }
}

fn slots(key: u8, limits: &[Limit]) -> Vec<Slot> {
    slots_in("ws_a", key, limits)
}

fn slots_in(workspace: &str, key: u8, limits: &[Limit]) -> Vec<Slot> {
    let record = KeyRecord {
        limits: limits.to_vec(),
        ..KeyRecord::new("key_a".to_owned(), workspace.to_owned(), Environment::Live)
    };
    limits.iter().map(|limit| Slot::new(limit, &KeyHash([key; 32]), &record)).collect()
}

fn one(numbers: (u32, u32, u32)) -> Vec<Slot> {
    slots(1, &[limit("default", Scope::Key, numbers)])
}

fn admitted(limiter: &mut Limiter, host: &FakeHost, slots: &[Slot], requests: u32) -> usize {
    (0..requests).filter(|_| limiter.admit(host, slots).is_ok()).count()
}

fn tick(limiter: &mut Limiter, host: &FakeHost, times: u64) {
    for _ in 0..times {
        host.advance_ns(TICK);
        limiter.tick(host);
    }
}

#[test]
fn admits_the_burst_then_refuses_with_a_true_retry_after() {
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), one((5, 60, 3)));
    assert_eq!(admitted(&mut limiter, &host, &slots, 3), 3);
    for _ in 0..5 {
        let refusal = limiter.admit(&host, &slots).unwrap_err();
        assert_eq!(refusal, Refusal { slot: 0, retry_after_ns: 12 * SECOND });
        assert_eq!(refusal.retry_after_seconds(), 12);
        host.advance_ns(refusal.retry_after_ns - 1);
        let refusal = limiter.admit(&host, &slots).unwrap_err();
        assert_eq!((refusal.retry_after_ns, refusal.retry_after_seconds()), (1, 1));
        host.advance_ns(1);
        assert_eq!(limiter.admit(&host, &slots), Ok(()));
    }
}

#[test]
fn two_sets_of_numbers_under_one_name_of_a_workspace_do_not_loosen_each_other() {
    let (host, mut limiter) = (FakeHost::at(100), Limiter::new());
    let tight = slots(1, &[limit("shared", Scope::Workspace, (5, 3_600, 5))]);
    let loose = slots(2, &[limit("shared", Scope::Workspace, (5, 1, 5))]);
    assert_eq!(admitted(&mut limiter, &host, &tight, 6), 5);
    for _ in 0..20 {
        let _ = limiter.admit(&host, &loose);
        assert!(limiter.admit(&host, &tight).is_err(), "five an hour were used up");
        tick(&mut limiter, &host, 50);
    }
}

#[test]
fn no_limits_always_admit() {
    let (host, mut limiter) = (FakeHost::at(100), Limiter::new());
    assert_eq!(limiter.admit(&host, &[]), Ok(()));
    assert_eq!(host.calls(), (0, 0));
}

#[test]
fn a_refusal_is_remembered_and_costs_no_shared_data() {
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), one((5, 60, 3)));
    admitted(&mut limiter, &host, &slots, 4);
    let calls = host.calls();
    host.advance_ns(HOLD_NS - 1);
    assert_eq!(admitted(&mut limiter, &host, &slots, 1000), 0);
    assert_eq!(host.calls(), calls);
}

#[test]
fn a_hot_key_spends_leases_that_grow_and_makes_no_host_calls_between() {
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), one((4095, 1, 4095)));
    assert_eq!(admitted(&mut limiter, &host, &slots, 1 + 2 + 4 + 8 + 16), 31);
    assert_eq!(host.calls(), (6, 5), "five leases, and one look at what the version before left");
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), one((1_000_000, 1, 1_000_000)));
    assert_eq!(admitted(&mut limiter, &host, &slots, 1_000_000 / 4096), 244);
    assert_eq!(host.calls(), (2, 1), "a spare lease is taken at once");
    assert_eq!(admitted(&mut limiter, &host, &slots, 2560), 2560);
    assert_eq!(host.calls(), (12, 11));
}

#[test]
fn a_key_that_is_used_now_and_then_keeps_a_spare_lease() {
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), one((1_000_000, 60, 1_000_000)));
    for _ in 0..10 {
        assert_eq!(admitted(&mut limiter, &host, &slots, 1), 1);
        host.advance_ns(5_000_000_000);
        limiter.tick(&host);
    }
    assert_eq!(host.calls().1, 1, "one lease serves them all");
    host.advance_ns(lease::SPARE_HOLD_NS);
    limiter.tick(&host);
    host.advance_ns(HOLD_NS);
    limiter.tick(&host);
    assert_eq!(limiter.subjects(), 0, "what was left is given up");
}

#[test]
fn small_limits_lease_one_token_at_a_time() {
    for numbers in [(127, 1, 127), (5, 60, 5), (1_000_000, 1, 127), (100_000, 60, 100)] {
        assert_eq!(one(numbers)[0].sizing.max, 1, "{numbers:?}");
    }
    assert_eq!(one((10_000, 1, 10_000))[0].sizing.max, 156);
    assert_eq!(one((1_000_000, 1, 1_000_000))[0].sizing.max, MAX_LEASE);
}

#[test]
fn unused_tokens_go_back_after_a_while() {
    let (host, slots) = (FakeHost::at(100), one((1000, 1000, 1000)));
    let (mut idle, mut busy) = (Limiter::new(), Limiter::new());
    admitted(&mut idle, &host, &slots, 1 + 2 + 4 + 8 + 1);
    assert_eq!(admitted(&mut busy, &host, &slots, 2000), 1000 - 15 - 15);
    tick(&mut idle, &host, 4);
    assert_eq!(admitted(&mut busy, &host, &slots, 1), 0, "not yet");
    tick(&mut idle, &host, 2);
    assert_eq!(admitted(&mut busy, &host, &slots, 100), 14);
    tick(&mut idle, &host, 12);
    assert_eq!(idle.subjects(), 0, "and the idle worker forgets the key");
}

#[test]
fn every_limit_must_admit_and_the_longest_wait_is_told() {
    let host = FakeHost::at(100);
    let mut limiter = Limiter::new();
    let slots = slots(
        1,
        &[
            limit("second", Scope::Key, (2, 1, 2)),
            limit("minute", Scope::Key, (3, 60, 3)),
            limit("roomy", Scope::Key, (1000, 1, 1000)),
        ],
    );
    assert_eq!(admitted(&mut limiter, &host, &slots, 2), 2);
    assert_eq!(limiter.admit(&host, &slots), Err(Refusal { slot: 0, retry_after_ns: SECOND / 2 }));
    host.advance_ns(SECOND / 2);
    assert_eq!(limiter.admit(&host, &slots), Ok(()));
    // Both refuse now: the first for half a second, the second for much longer.
    assert_eq!(limiter.admit(&host, &slots), Err(Refusal { slot: 1, retry_after_ns: 39 * SECOND / 2 }));
    host.advance_ns(39 * SECOND / 2);
    assert_eq!(limiter.admit(&host, &slots), Ok(()));
}

#[test]
fn a_token_that_another_limit_left_unused_is_used_next_or_goes_back() {
    let host = FakeHost::at(100);
    let limits = [limit("day", Scope::Key, (10, 86_400, 10)), limit("second", Scope::Key, (1, 1, 1))];
    let (slots, mut limiter) = (slots(1, &limits), Limiter::new());
    assert_eq!(admitted(&mut limiter, &host, &slots, 50), 1);
    assert_eq!(limiter.remaining(&slots).next().unwrap().tokens, 9);
    for round in 1..10 {
        host.advance_ns(SECOND);
        assert_eq!(admitted(&mut limiter, &host, &slots, 50), 1, "round {round}");
    }
    tick(&mut limiter, &host, 20);
    host.advance_ns(SECOND);
    assert_eq!(limiter.admit(&host, &slots).unwrap_err().slot, 0, "exactly ten in all");
}

#[test]
fn a_workspace_shares_and_keys_do_not() {
    let host = FakeHost::at(100);
    let mut limiter = Limiter::new();
    let workspace = [limit("default", Scope::Workspace, (4, 60, 4))];
    let key = [limit("default", Scope::Key, (4, 60, 4))];
    let mut count = |slots: Vec<Slot>| admitted(&mut limiter, &host, &slots, 3);
    assert_eq!(count(slots_in("ws_a", 1, &workspace)), 3);
    assert_eq!(count(slots_in("ws_a", 2, &workspace)), 1);
    assert_eq!(count(slots_in("ws_b", 2, &workspace)), 3);
    assert_eq!(count(slots_in("ws_a", 1, &key)), 3);
    assert_eq!(count(slots_in("ws_a", 2, &key)), 3);
    assert_eq!(count(slots_in("ws_a", 1, &[limit("other", Scope::Workspace, (4, 60, 4))])), 3);
}

#[test]
fn a_tightened_limit_counts_at_once_and_is_not_frozen_by_the_old_state() {
    let (host, mut limiter) = (FakeHost::at(100), Limiter::new());
    assert_eq!(admitted(&mut limiter, &host, &one((60, 3600, 60)), 61), 60);
    let tight = one((60, 60, 5));
    let refusal = limiter.admit(&host, &tight).unwrap_err();
    assert_eq!(refusal.retry_after_ns, SECOND);
    host.advance_ns(SECOND);
    assert_eq!(admitted(&mut limiter, &host, &tight, 3), 1);
    host.advance_ns(60 * SECOND);
    assert_eq!(admitted(&mut limiter, &host, &tight, 9), 5);
}

#[test]
fn a_forged_state_delays_one_interval_and_no_longer() {
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), one((5, 60, 3)));
    let forged = bucket::Change::only(u64::MAX);
    bucket::update(&host, slots[0].account, 0, |_| Ok(bucket::Step::Store(forged, ()))).unwrap();
    let refusal = limiter.admit(&host, &slots).unwrap_err();
    assert_eq!(refusal.retry_after_ns, 12 * SECOND);
    host.advance_ns(12 * SECOND);
    assert_eq!(admitted(&mut limiter, &host, &slots, 3), 1);
    host.advance_ns(36 * SECOND);
    assert_eq!(admitted(&mut limiter, &host, &slots, 9), 3);
}

#[test]
fn without_shared_data_each_worker_limits_for_itself_and_settles_afterwards() {
    for fail in [FakeHost::fail_reads as fn(&FakeHost, Option<u32>), FakeHost::fail_writes] {
        let (host, slots) = (FakeHost::at(100), one((6, 60, 6)));
        let (mut a, mut b) = (Limiter::new(), Limiter::new());
        fail(&host, Some(10));
        assert_eq!(admitted(&mut a, &host, &slots, 4), 4);
        assert_eq!(a.take_fallbacks(), 4);
        assert_eq!(a.take_fallbacks(), 0);
        assert_eq!(admitted(&mut b, &host, &slots, 10), 6, "never open");
        assert_eq!(b.admit(&host, &slots).unwrap_err().retry_after_ns, 10 * SECOND);
        fail(&host, None);
        tick(&mut a, &host, 6);
        tick(&mut b, &host, 6);
        assert_eq!(admitted(&mut Limiter::new(), &host, &slots, 10), 0, "ten were admitted already");
    }
}

#[test]
fn lost_compare_and_swaps_fall_back_for_that_request_only() {
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), one((6, 60, 6)));
    assert_eq!(limiter.admit(&host, &slots), Ok(()));
    host.inject_conflicts(16);
    assert_eq!(limiter.admit(&host, &slots), Ok(()));
    assert_eq!(limiter.take_fallbacks(), 1);
    assert_eq!(
        admitted(&mut limiter, &host, &slots, 10),
        4,
        "the one admitted without shared data is not forgotten"
    );
    assert_eq!(limiter.take_fallbacks(), 0);
}

#[test]
fn wiped_shared_data_is_a_limit_at_rest() {
    let (host, mut limiter, slots) = (FakeHost::at(100), Limiter::new(), one((6, 60, 6)));
    assert_eq!(admitted(&mut limiter, &host, &slots, 10), 6);
    host.wipe();
    host.advance_ns(HOLD_NS);
    assert_eq!(admitted(&mut limiter, &host, &slots, 10), 6);
}

#[test]
fn more_subjects_than_places_are_limited_all_the_same() {
    let host = FakeHost::at(100);
    let mut limiter = Limiter::new();
    let many: Vec<_> = (0..MAX_LEASES + 500)
        .map(|n| slots_in(&format!("ws_{n}"), 1, &[limit("default", Scope::Workspace, (2, 60, 2))]))
        .collect();
    for slots in &many {
        assert_eq!(admitted(&mut limiter, &host, slots, 3), 2);
        assert!(limiter.subjects() <= MAX_LEASES + 1);
        assert_eq!(limiter.remaining(slots).next().unwrap().tokens, 0);
    }
    // The same without shared data: who is remembered is limited, who is not waits.
    host.fail_reads(Some(10));
    let fresh: Vec<_> = (0..500)
        .map(|n| slots_in(&format!("fresh_{n}"), 1, &[limit("default", Scope::Workspace, (2, 60, 2))]))
        .collect();
    for slots in &fresh {
        assert_eq!(admitted(&mut limiter, &host, slots, 3), 0);
    }
    tick(&mut limiter, &host, 6);
    for slots in &fresh {
        assert_eq!(admitted(&mut limiter, &host, slots, 3), 2);
    }
    assert!(limiter.subjects() <= MAX_LEASES);
}

#[test]
fn in_a_crowd_a_key_that_is_used_once_takes_one_token_and_gives_none_back() {
    let host = FakeHost::at(100);
    let mut limiter = Limiter::new();
    let wide = |n: usize| {
        slots_in(&format!("ws_{n}"), 1, &[limit("default", Scope::Workspace, (1_000_000, 60, 1_000_000))])
    };
    for n in 0..MOST_WITH_SPARE {
        limiter.admit(&host, &wide(n)).unwrap();
    }
    tick(&mut limiter, &host, 10);
    assert_eq!(limiter.subjects(), MOST_WITH_SPARE, "there is room for what is spare");
    let (_, before) = host.calls();
    for n in 0..1_000 {
        limiter.admit(&host, &wide(MOST_WITH_SPARE + n)).unwrap();
    }
    tick(&mut limiter, &host, 10);
    assert_eq!(host.calls().1 - before, 1_000, "each is counted once, and nothing goes back");
    assert_eq!(limiter.subjects(), MOST_WITH_SPARE, "the others are forgotten");
    let (reads, _) = host.calls();
    limiter.admit(&host, &wide(0)).unwrap();
    assert_eq!(host.calls().0, reads, "what was spare is still there");
}

#[test]
fn a_guest_gives_back_what_another_limit_left_unused() {
    let host = FakeHost::at(100);
    let mut limiter = Limiter::new();
    for n in 0..MAX_LEASES {
        let slots = slots_in(&format!("ws_{n}"), 1, &[limit("default", Scope::Workspace, (2, 60, 2))]);
        limiter.admit(&host, &slots).unwrap();
    }
    let both = slots(1, &[limit("wide", Scope::Key, (3, 60, 3)), limit("narrow", Scope::Key, (1, 60, 1))]);
    assert_eq!(admitted(&mut limiter, &host, &both, 20), 1);
    assert_eq!(limiter.subjects(), MAX_LEASES + 2);
    limiter.tick(&host);
    assert_eq!(limiter.subjects(), MAX_LEASES);
    assert_eq!(admitted(&mut limiter, &host, &both[..1], 20), 2);
}

#[test]
fn remaining_counts_down_to_the_refusal() {
    let (host, mut limiter, small) = (FakeHost::at(100), Limiter::new(), one((5, 60, 3)));
    let remaining = |limiter: &Limiter| limiter.remaining(&small).collect::<Vec<_>>();
    assert_eq!(remaining(&limiter), [Remaining { tokens: 3, reset_seconds: 0 }]);
    for (tokens, reset_seconds) in [(2, 12), (1, 24), (0, 12)] {
        limiter.admit(&host, &small).unwrap();
        assert_eq!(remaining(&limiter), [Remaining { tokens, reset_seconds }]);
    }
    let hot = slots(2, &[limit("default", Scope::Key, (10_000, 1, 10_000))]);
    for expected in (0..5000).rev() {
        limiter.admit(&host, &hot).unwrap();
        assert_eq!(limiter.remaining(&hot).next().unwrap().tokens, expected + 5000);
    }
}

#[test]
fn the_longest_windows_and_largest_bursts_work() {
    let host = FakeHost::at(0);
    let mut limiter = Limiter::new();
    let extreme = u32::MAX;
    for numbers in [(extreme, 1, extreme), (1, extreme, extreme), (1, extreme, 1), (extreme, extreme, 1)] {
        let slots = slots_in(&format!("{numbers:?}"), 1, &[limit("default", Scope::Workspace, numbers)]);
        assert_eq!(limiter.admit(&host, &slots), Ok(()), "{numbers:?}");
    }
    host.advance_ns(u64::MAX);
    tick(&mut limiter, &host, 20);
    limiter.admit(&host, &one((5, 60, 3))).unwrap();
}

proptest! {
    #[test]
    fn whoever_waits_as_told_is_admitted(
        numbers in prop::collection::vec((1..100_000u32, 1..100u32, 1..20_000u32), 1..4),
        gaps in prop::collection::vec(0..SECOND / 50, 1..40),
    ) {
        let (host, mut limiter) = (FakeHost::at(100), Limiter::new());
        let limits: Vec<_> =
            numbers.iter().enumerate().map(|(n, numbers)| limit(&format!("limit{n}"), Scope::Key, *numbers)).collect();
        let slots = slots(1, &limits);
        for gap in gaps {
            host.advance_ns(gap);
            limiter.tick(&host);
            let refusal = (0..1000).find_map(|_| limiter.admit(&host, &slots).err());
            if let Some(refusal) = refusal {
                host.advance_ns(refusal.retry_after_ns);
                prop_assert_eq!(limiter.admit(&host, &slots), Ok(()), "after {:?}", refusal);
            }
        }
    }
}
