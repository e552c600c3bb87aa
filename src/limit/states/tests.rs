//! A bucket's bytes against a map, and what numbers of one subject know of each other.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows should fail")]

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::entry::NANOS_PER_SECOND;
use super::sums::MAX_SUMS;
use super::*;

const SECOND: u64 = NANOS_PER_SECOND;
const NOW: u64 = 1000 * SECOND;

fn account(first: u8, (requests, window, burst): (u32, u32, u32)) -> Account {
    let number = |n| NonZeroU32::new(n).unwrap();
    Account {
        subject: Subject([first; 16]),
        quota: Quota::new(number(requests), number(window), number(burst)),
    }
}

/// `count` requests, all at once.
fn used(bytes: &[u8], account: Account, count: u32, now: u64) -> Vec<u8> {
    let states = States::parse(bytes);
    let tat = match states.get(account, now) {
        Known::Own(tat) | Known::Carried(tat) => tat,
        Known::Nothing => 0,
    };
    let tat = account.quota.take(tat, now, count).expect("a limit with room");
    states.with(account, Change { requests: u64::from(count), ..Change::only(tat) }, now)
}

/// Tokens left, by the account's own state.
fn left(bytes: &[u8], account: Account, now: u64) -> u64 {
    match States::parse(bytes).get(account, now) {
        Known::Own(tat) | Known::Carried(tat) => account.quota.available(tat, now),
        Known::Nothing => account.quota.burst(),
    }
}

#[test]
fn a_state_is_read_back_and_others_stay() {
    let of = |first| account(first, (1, 1, 100));
    let bytes = [2, 1, 3].iter().fold(Vec::new(), |bytes, n| used(&bytes, of(*n), u32::from(*n), NOW));
    assert_eq!([0, 1, 2, 3, 4].map(|n| left(&bytes, of(n), NOW)), [100, 99, 98, 97, 100]);
    assert_eq!(bytes.len(), 1 + 3 * ENTRY_LEN);
    assert_eq!(States::parse(&bytes).get(of(4), NOW), Known::Nothing);
}

#[test]
fn subjects_at_rest_leave_the_bucket_and_the_last_leaves_nothing() {
    let (one, two) = (account(1, (1, 1, 100)), account(2, (1, 1, 100)));
    let bytes = used(&used(&[], one, 1, NOW), two, 9, NOW + SECOND);
    assert_eq!(bytes.len(), 1 + ENTRY_LEN);
    assert_eq!(States::parse(&bytes).alive(NOW + 10 * SECOND), Vec::<u8>::new());
    let at_rest = Change::only(NOW);
    assert_eq!(States::parse(&bytes).with(two, at_rest, NOW), Vec::<u8>::new());
}

#[test]
fn new_numbers_begin_with_what_the_last_ones_have_used() {
    let (hour, faster) = (account(1, (10, 3600, 10)), account(1, (1000, 3600, 1000)));
    let bytes = used(&[], hour, 10, NOW);
    assert_eq!(left(&bytes, faster, NOW), 990);
    assert_eq!(left(&bytes, account(1, (20, 60, 15)), NOW), 5);
    assert_eq!(left(&bytes, account(1, (20, 60, 4)), NOW), 0, "at most the burst is used");
    assert_eq!(left(&bytes, account(2, (1000, 3600, 1000)), NOW), 1000, "another subject");
    // Half of it came back at the old rate before the change.
    assert_eq!(left(&bytes, faster, NOW + 1800 * SECOND), 995);
    // Not what numbers before the last ones have used, which may come to rest much later.
    let bytes = used(&bytes, faster, 1, NOW + SECOND);
    let bytes = used(&bytes, faster, 1, NOW + 120 * SECOND);
    assert_eq!(left(&bytes, account(1, (50, 60, 50)), NOW + 120 * SECOND), 49);
}

#[test]
fn each_request_counts_in_all_numbers_in_use() {
    let (tight, loose) = (account(1, (5, 3600, 5)), account(1, (5, 1, 5)));
    let mut bytes = used(&used(&[], tight, 2, NOW), loose, 2, NOW);
    assert_eq!((left(&bytes, tight, NOW), left(&bytes, loose, NOW)), (1, 1));
    for second in 1..=60 {
        bytes = used(&bytes, loose, 4, NOW + second * SECOND);
        assert_eq!(left(&bytes, tight, NOW + second * SECOND), 0);
    }
    // Nobody has asked by the tight ones for a minute: they come to rest by themselves, and the entry stays as long.
    for second in 61..3700 {
        bytes = used(&bytes, loose, 4, NOW + second * SECOND);
    }
    assert_eq!(left(&bytes, tight, NOW + 3700 * SECOND), 5);
}

#[test]
fn an_entry_in_use_is_not_forgotten_before_an_older_one() {
    let (day, second) = (account(1, (100, 86_400, 100)), account(1, (100, 1, 100)));
    let bytes = used(&[], day, 50, NOW);
    let bytes = used(&bytes, second, 1, NOW);
    let bytes = States::parse(&bytes).alive(NOW + 60 * SECOND);
    assert_eq!(bytes.len(), 1 + 3 * ENTRY_LEN, "both stay, and the sum");
    assert_eq!(left(&bytes, second, NOW + 60 * SECOND), 100, "the second is over");
    assert!(!States::parse(&bytes).has_rest(NOW + 60 * SECOND));
    assert!(States::parse(&bytes).has_rest(NOW + 86_400 * SECOND));
}

#[test]
fn numbers_of_one_subject_are_bounded_and_the_longest_unused_make_room() {
    let numbers = |n: u32| account(1, (10 + n, 3600, 10));
    let mut bytes = used(&[], account(9, (1, 1, 9)), 9, NOW);
    for n in 0..20 {
        bytes = used(&bytes, numbers(n), u32::from(n < 5), NOW + u64::from(n));
        assert!(bytes.len() <= 1 + (1 + MAX_NUMBERS + MAX_SUMS) * ENTRY_LEN);
    }
    assert!(left(&bytes, numbers(19), NOW + 20) <= 5, "and what was used goes on from one to the next");
    let mut bytes = Vec::new();
    for n in 0..MAX_NUMBERS as u32 + 2 {
        bytes = used(&bytes, numbers(n), 1, NOW + u64::from(n) * SECOND);
    }
    let now = NOW + 6 * SECOND;
    let is_known = |n| matches!(States::parse(&bytes).get(numbers(n), now), Known::Own(_));
    assert_eq!([0, 1, 2, 3, 4, 5].map(is_known), [false, false, true, true, true, true]);
}

#[test]
fn who_only_settles_is_not_taken_for_in_use() {
    let (old, new) = (account(1, (10, 3600, 10)), account(1, (1000, 3600, 1000)));
    let bytes = used(&used(&[], old, 4, NOW), new, 100, NOW + SECOND);
    let states = States::parse(&bytes);
    let back = Change { tat: NOW + 3 * SECOND, requests: 0, back: 0, in_use: false };
    let bytes = states.with(old, back, NOW + 2 * SECOND);
    assert_eq!(left(&bytes, account(1, (500, 3600, 500)), NOW + 2 * SECOND), 396, "the newer one goes on");
}

proptest! {
    #[test]
    fn a_bucket_behaves_like_a_map(changes in prop::collection::vec((any::<u8>(), NOW..NOW + 50), 0..60)) {
        let mut model = BTreeMap::new();
        let mut bytes = Vec::new();
        for (step, (first, tat)) in changes.into_iter().enumerate() {
            let now = NOW + step as u64 / 2;
            bytes = States::parse(&bytes).with(account(first, (1, 1, 100)), Change::only(tat), now);
            model.insert(Subject([first; 16]), tat);
            model.retain(|_, tat| *tat > now);
            let states = States::parse(&bytes);
            prop_assert!(!states.malformed);
            let found = states.entries.iter().map(|entry| (subject(entry), decode(entry).tat));
            prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), model.clone());
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_and_replaced_without_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300), version in any::<bool>(), entry in any::<[u8; 16]>(),
        now in any::<u64>(), requests in any::<u64>(),
    ) {
        if let (true, Some(first)) = (version, bytes.first_mut()) {
            *first = VERSION;
        }
        let states = States::parse(&bytes);
        let account = Account { subject: Subject(entry), ..account(0, (5, 60, 5)) };
        states.get(account, now);
        let change = Change { requests, ..Change::only(u64::MAX) };
        let written = states.with(account, change, now.min(u64::MAX - 1));
        let again = States::parse(&written);
        prop_assert!(!again.malformed);
        prop_assert_eq!(again.get(account, now), Known::Own(u64::MAX));
    }
}
