//! Whatever workers count arrives, whoever else writes, and sums outlive the detail.

use super::bag::{MAX_REFUSED, put_count, put_reason, put_refused};
use super::cells::MAX_ROWS;
use super::*;
use crate::contract::record::KeyRecord;
use crate::contract::samples::{hash, record};
use crate::contract::usage::OTHER_KEYS;
use crate::host::fake::FakeHost;
use crate::host::{Clock as _, Expect};

const SECOND_NS: u64 = 1_000_000_000;
const ADMITTED: usize = UsageOutcome::Admitted as usize;
const LIMITED: usize = UsageOutcome::RateLimited as usize;

fn key(seed: u8) -> Rc<KnownKey> {
    Rc::new(KnownKey::new(hash(seed), record(seed)))
}

fn all(host: &FakeHost) -> Bag {
    let mut bag = Bag::default();
    (0..CELLS).for_each(|cell| take(host, cell, &mut bag).unwrap());
    bag
}

/// Requests of all minutes.
fn sum(bag: &Bag, id: &str, outcome: usize) -> u64 {
    bag.counts.iter().filter(|((_, of), _)| of == id).map(|(_, tally)| tally[outcome]).sum()
}

#[test]
fn workers_hand_over_once_a_second_and_nothing_is_counted_twice() {
    let host = FakeHost::at(1_000);
    make_cells(&host).unwrap();
    let (a, b) = (key(1), key(2));
    let mut workers = [Usage::new(true, false), Usage::new(true, false), Usage::new(true, false)];
    for round in 0..3 {
        for (number, usage) in workers.iter_mut().enumerate() {
            (0..10).for_each(|_| usage.count(&a, UsageOutcome::Admitted));
            usage.count(&b, UsageOutcome::RateLimited);
            // The first and the last share a cell.
            usage.tick(&host, [1, 2, 1 + CELLS][number], host.now());
            usage.tick(&host, [1, 2, 1 + CELLS][number], host.now());
        }
        let bag = all(&host);
        assert_eq!((sum(&bag, "key_1", ADMITTED), sum(&bag, "key_2", LIMITED)), (30, 3), "{round}");
        assert_eq!(all(&host), Bag::default());
        host.advance_ns(SECOND_NS);
    }
    workers[0].tick(&host, 1, host.now());
    let calls = host.calls();
    workers[0].count(&a, UsageOutcome::Admitted);
    host.advance_ns(SECOND_NS / 2);
    workers[0].tick(&host, 1, host.now());
    assert_eq!(host.calls(), calls, "not within the second");
}

#[test]
fn what_was_counted_before_a_minute_ended_is_of_that_minute() {
    let host = FakeHost::at(119);
    make_cells(&host).unwrap();
    let (a, mut usage) = (key(1), Usage::new(true, false));
    usage.tick(&host, 1, host.now());
    host.advance_ns(SECOND_NS - 20_000_000);
    usage.count(&a, UsageOutcome::Admitted);
    host.advance_ns(20_000_000);
    usage.tick(&host, 1, host.now());
    usage.count(&a, UsageOutcome::Admitted);
    host.advance_ns(SECOND_NS);
    usage.tick(&host, 1, host.now());
    let minutes: Vec<_> = all(&host).counts.into_keys().map(|(minute, _)| minute).collect();
    assert_eq!(minutes, [1, 2]);
}

#[test]
fn counts_stay_while_nobody_can_take_them() {
    let host = FakeHost::at(1_000);
    let (a, mut usage) = (key(1), Usage::new(true, false));
    let mut pass = |host: &FakeHost| {
        usage.count(&a, UsageOutcome::Admitted);
        host.advance_ns(SECOND_NS);
        usage.tick(host, 1, host.now());
    };
    pass(&host);
    assert!(host.keys().is_empty(), "only the sync makes cells");
    make_cells(&host).unwrap();
    host.fail_writes(Some(1));
    pass(&host);
    host.fail_writes(None);
    host.inject_conflicts(100);
    pass(&host);
    host.inject_conflicts(3);
    pass(&host);
    assert_eq!(sum(&all(&host), "key_1", ADMITTED), 4);
    // Bytes of nobody we know are in the way of nobody.
    host.write(&cell_key(1), b"\xFFforeign", Expect::Any).unwrap();
    pass(&host);
    assert_eq!(sum(&all(&host), "key_1", ADMITTED), 1);
}

#[test]
fn more_keys_than_can_be_told_apart_are_counted_together() {
    let host = FakeHost::at(1_000);
    make_cells(&host).unwrap();
    let mut usage = Usage::new(true, false);
    let keys: Vec<_> = (0..MAX_ACTIVE + 5).map(|n| Rc::new(KnownKey::new(hash(1), record(n)))).collect();
    (0..2).for_each(|_| keys.iter().for_each(|key| usage.count(key, UsageOutcome::Admitted)));
    usage.hand_over(&host, 1, host.now(), true);
    let bag = all(&host);
    assert_eq!(bag.counts.values().map(|tally| tally[ADMITTED]).sum::<u64>(), 2 * keys.len() as u64);
    assert!(sum(&bag, OTHER_KEYS, ADMITTED) >= 10);
    let mut unsynced = Usage::new(false, false);
    unsynced.count(&keys[0], UsageOutcome::Admitted);
    unsynced.refused(1, false, || Some(hash(1)));
    unsynced.hand_over(&host, 1, host.now(), true);
    assert_eq!(all(&host), Bag::default(), "without a sync nothing is counted");
}

#[test]
fn a_counted_key_takes_no_more_than_its_share_of_memory() {
    // On WebAssembly pointers are half as long.
    assert!(std::mem::size_of::<(Rc<KnownKey>, [u32; UsageOutcome::ALL.len()])>() + 8 <= 64);
    let mut entry = Vec::new();
    let counts = [7, 0, 0, 0, 0];
    put_count(&mut entry, "key_0123456789abcdefghij", 29_000_000, &counts);
    assert!(entry.len() <= 32, "{}", entry.len());
}

#[test]
fn a_cell_that_grows_loses_the_oldest_detail_first_and_never_the_sums() {
    let host = FakeHost::at(1_000);
    make_cells(&host).unwrap();
    // A control plane that is away for days: each key in each minute.
    for minute in 0..400 {
        let mut entries = Vec::new();
        (0..100).for_each(|n| put_count(&mut entries, &format!("key_{n}"), minute, &[1, 0, 0, 0, 0]));
        (0..100).for_each(|n| put_refused(&mut entries, (minute, hash(n), false), u64::from(n)));
        assert_eq!(append(&host, 0, &entries), Ok(Write::Stored));
        assert!(host.total_bytes() < 1 << 20);
    }
    let mut bag = all(&host);
    bag.shrink(MAX_ROWS);
    assert!(bag.counts.len() <= MAX_ROWS && bag.refused.len() <= MAX_REFUSED);
    (0..100).for_each(|n| assert_eq!(sum(&bag, &format!("key_{n}"), ADMITTED), 400));
    assert!(bag.counts.contains_key(&(399, "key_1".to_owned())), "the newest minutes are whole");
    assert!(!bag.counts.contains_key(&(0, "key_1".to_owned())), "the oldest are one");
    bag.shrink(100);
    assert_eq!(sum(&bag, "key_7", ADMITTED), 400);
    assert!(
        bag.counts.keys().all(|(minute, _)| *minute == 399),
        "nothing was used earlier than it is said to be"
    );
    bag.shrink(10);
    assert_eq!(bag.counts.values().map(|tally| tally[ADMITTED]).sum::<u64>(), 40_000);
    assert_eq!(sum(&bag, OTHER_KEYS, ADMITTED), 91 * 400);
}

#[test]
fn what_is_too_much_for_a_post_is_the_next_ones() {
    let mut bag = Bag::default();
    let mut entries = Vec::new();
    (0..5).for_each(|n| put_count(&mut entries, &format!("key_{n}"), 1, &[1, 2, 0, 0, 0]));
    bag.add(&entries);
    let rest = bag.split_off(5);
    assert_eq!((bag.counts.len(), rest.counts.len()), (2, 3));
    assert_eq!(bag.split_off(4), Bag::default());
}

#[test]
fn a_value_that_comes_again_keeps_its_place_among_random_ones() {
    let host = FakeHost::at(1_000);
    make_cells(&host).unwrap();
    let mut usage = Usage::new(true, false);
    let mut random = 1_000u128;
    for round in 0..5 {
        if round == 0 {
            usage.refused(7, false, || Some(hash(7)));
        }
        for _ in 0..1_000 {
            random += 1;
            usage.refused(random, false, || Some(hash(8)));
        }
        if round > 0 {
            usage.refused(7, false, || Some(hash(7)));
        }
        host.advance_ns(10 * SECOND_NS);
        usage.tick(&host, 1, host.now());
    }
    let bag = all(&host);
    assert_eq!(bag.refused.iter().filter(|((_, of, _), _)| *of == hash(7)).map(|(_, n)| n).sum::<u64>(), 5);
    // Hashed only where there is room, and not again for one that is there.
    (0..MAX_SAMPLED as u128).for_each(|n| usage.refused(n, false, || Some(hash(1))));
    usage.refused(900, false, || panic!("no room"));
    usage.refused(7, false, || panic!("it is there"));
}

#[test]
fn bytes_of_anybody_are_read_to_where_they_make_sense() {
    let mut good = Vec::new();
    put_count(&mut good, "key_1", 1, &[1, 0, 0, 9, u64::MAX]);
    put_refused(&mut good, (2, hash(1), true), 3);
    for cut in 0..=good.len() {
        let mut bag = Bag::default();
        bag.add(&good[..cut]);
        let mut again = Vec::new();
        bag.encode(&mut again);
        assert!(good.starts_with(&again));
        bag.add(&good[..cut]);
    }
    Bag::default().add(&[9, 9, 9]);
}

/// Requests of all minutes, by outcome.
fn told(map: &std::collections::BTreeMap<CountKey, Tally>, id: &str) -> Tally {
    let mut sum = Tally::default();
    for ((_, of), tally) in map {
        if of == id {
            sum.iter_mut().zip(tally).for_each(|(sum, count)| *sum += count);
        }
    }
    sum
}

fn in_shadow(host: &FakeHost) -> Bag {
    let mut bag = Bag::default();
    take(host, SHADOW_CELL, &mut bag).unwrap();
    bag
}

#[test]
fn what_passes_in_shadow_is_told_apart_in_a_cell_that_a_filter_of_before_does_not_read() {
    let host = FakeHost::at(1_000);
    make_cells(&host).unwrap();
    let shadowed = KeyRecord { shadow: true, ..record(2) };
    let (plain, shadowed) = (key(1), Rc::new(KnownKey::new(hash(2), shadowed)));
    for (everything, of_plain, of_shadowed) in
        [(false, [0; 5], [0, 1, 1, 0, 0]), (true, [0, 1, 1, 1, 1], [0, 1, 1, 1, 1])]
    {
        let mut usage = Usage::new(true, everything);
        for outcome in UsageOutcome::ALL {
            usage.count(&plain, outcome);
            usage.count(&shadowed, outcome);
        }
        usage.shadowed("unauthorized.missing");
        usage.shadowed("unauthorized.missing");
        usage.hand_over(&host, 1, host.now(), true);
        let before = all(&host);
        assert!(before.shadow.is_empty() && before.reasons.is_empty(), "{before:?}");
        assert_eq!((told(&before.counts, "key_1"), told(&before.counts, "key_2")), ([1; 5], [1; 5]));
        let bag = in_shadow(&host);
        assert_eq!((told(&bag.shadow, "key_1"), told(&bag.shadow, "key_2")), (of_plain, of_shadowed));
        assert_eq!(told(&bag.reasons, "unauthorized.missing")[0], 2);
        assert!(bag.counts.is_empty() && in_shadow(&host).is_empty());
    }
    let mut unsynced = Usage::new(false, true);
    unsynced.shadowed("unauthorized.missing");
    unsynced.hand_over(&host, 1, host.now(), true);
    assert!(in_shadow(&host).is_empty());
}

#[test]
fn what_passed_in_shadow_waits_while_nobody_takes_it_within_a_bound_and_is_told_once() {
    let host = FakeHost::at(1_000);
    let mut usage = Usage::new(true, true);
    for _ in 0..3 {
        usage.count(&key(1), UsageOutcome::RateLimited);
        usage.shadowed("rate_limited.key");
        usage.hand_over(&host, 1, host.now(), true);
    }
    assert!(host.keys().is_empty(), "only the sync makes cells");
    make_cells(&host).unwrap();
    usage.hand_over(&host, 1, host.now(), true);
    usage.hand_over(&host, 1, host.now(), true);
    let bag = in_shadow(&host);
    assert_eq!((told(&bag.shadow, "key_1")[LIMITED], told(&bag.reasons, "rate_limited.key")[0]), (3, 3));
    // A control plane that is away for a month: a bounded number of reasons and minutes, and the sums.
    let mut bytes = Vec::new();
    (0..40_000).for_each(|minute| put_reason(&mut bytes, "rate_limited.key", minute, 1));
    append_to(&host, SHADOW_CELL, &bytes).unwrap();
    append_to(&host, SHADOW_CELL, &bytes[..1_000]).unwrap();
    let mut bag = in_shadow(&host);
    bag.shrink(MAX_ROWS);
    assert!(bag.reasons.len() <= crate::contract::usage::MAX_REASON_COUNTS);
    assert!(told(&bag.reasons, "rate_limited.key")[0] >= 40_000);
}
