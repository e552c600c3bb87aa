//! The bucket's bytes, and the compare-and-swap that guards them.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows should fail")]

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::host::fake::FakeHost;
use crate::host::{Clock as _, Versioned};

const NOW: u64 = 1000;

fn subject(first: u8) -> Subject {
    Subject([first; 16])
}

fn stored(host: &FakeHost) -> Option<Versioned> {
    host.read(&key(3)).unwrap()
}

/// Adds one to the state, starting at [`NOW`] + 1.
fn count(host: &FakeHost) -> Result<u64, Unavailable> {
    update(host, 3, subject(1), NOW, |tat| {
        let next = tat.max(NOW) + 1;
        Step::Store(next, next)
    })
}

#[test]
fn a_state_is_read_back_and_others_stay() {
    let bytes = States::parse(&[]).with(subject(2), NOW + 2, NOW);
    let bytes = States::parse(&bytes).with(subject(1), NOW + 1, NOW);
    let bytes = States::parse(&bytes).with(subject(3), NOW + 3, NOW);
    let states = States::parse(&bytes);
    assert_eq!([0, 1, 2, 3, 4].map(|n| states.get(subject(n))), [0, NOW + 1, NOW + 2, NOW + 3, 0]);
    assert_eq!(bytes.len(), 1 + 3 * ENTRY_LEN);
}

#[test]
fn states_at_rest_leave_the_bucket_and_the_last_leaves_nothing() {
    let bytes = States::parse(&[]).with(subject(1), NOW + 1, NOW);
    let bytes = States::parse(&bytes).with(subject(2), NOW + 9, NOW + 1);
    assert_eq!(bytes.len(), 1 + ENTRY_LEN);
    assert_eq!(States::parse(&bytes).alive(NOW + 9), Vec::<u8>::new());
    assert_eq!(States::parse(&bytes).with(subject(2), NOW, NOW), Vec::<u8>::new());
}

#[test]
fn a_missing_bucket_is_created_without_overwriting_one_that_appeared_meanwhile() {
    let host = FakeHost::at(0);
    let raced = Cell::new(false);
    let answer = update(&host, 3, subject(1), NOW, |tat| {
        if !raced.replace(true) {
            count(&host).unwrap();
        }
        Step::Store(tat.max(NOW) + 1, tat)
    });
    assert_eq!(answer, Ok(NOW + 1), "the second look sees what the other worker stored");
    assert_eq!(States::parse(&stored(&host).unwrap().bytes).get(subject(1)), NOW + 2);
}

#[test]
fn a_change_between_reading_and_writing_is_not_lost() {
    let host = FakeHost::at(0);
    count(&host).unwrap();
    let rounds = Cell::new(0);
    let answer = update(&host, 3, subject(1), NOW, |tat| {
        rounds.set(rounds.get() + 1);
        if rounds.get() <= 5 {
            count(&host).unwrap();
        }
        Step::Store(tat + 1, tat + 1)
    });
    assert_eq!(answer, Ok(NOW + 7));
    assert_eq!(rounds.get(), 6);
}

#[test]
fn gives_up_after_sixteen_conflicts_and_on_host_errors() {
    let host = FakeHost::at(0);
    count(&host).unwrap();
    host.inject_conflicts(15);
    assert_eq!(count(&host), Ok(NOW + 2));
    host.inject_conflicts(16);
    assert_eq!(count(&host), Err(Unavailable));
    host.fail_writes(Some(10));
    assert_eq!(count(&host), Err(Unavailable));
    host.fail_reads(Some(10));
    assert_eq!(count(&host), Err(Unavailable));
    assert_eq!(sweep(&host, 3, NOW), Err(Unavailable));
}

#[test]
fn bytes_of_an_unknown_form_are_an_empty_bucket_and_are_repaired() {
    let good = States::parse(&[]).with(subject(1), NOW + 9, NOW);
    let mut other_version = good.clone();
    other_version[0] = 2;
    let mut unsorted = good.clone();
    unsorted.extend_from_slice(&good[1..]);
    for bad in [other_version, unsorted, good[..20].to_vec(), vec![0], [good.clone(), vec![7]].concat()] {
        let host = FakeHost::at(0);
        host.write(&key(3), &bad, Expect::Any).unwrap();
        assert_eq!(count(&host), Ok(NOW + 1));
        assert_eq!(stored(&host).unwrap().bytes.len(), 1 + ENTRY_LEN);
        host.write(&key(3), &bad, Expect::Any).unwrap();
        sweep(&host, 3, NOW).unwrap();
        assert_eq!(stored(&host).unwrap().bytes, Vec::<u8>::new());
    }
}

#[test]
fn sweeping_writes_only_where_something_is_at_rest() {
    let host = FakeHost::at(0);
    sweep(&host, 3, NOW).unwrap();
    assert_eq!(stored(&host), None);
    count(&host).unwrap();
    let before = stored(&host);
    sweep(&host, 3, NOW).unwrap();
    assert_eq!(stored(&host), before);
    sweep(&host, 3, NOW + 1).unwrap();
    assert_eq!(stored(&host).unwrap().bytes, Vec::<u8>::new());
    assert_eq!(host.now().monotonic, 0);
}

proptest! {
    #[test]
    fn a_bucket_behaves_like_a_map(changes in prop::collection::vec((any::<u8>(), NOW..NOW + 50), 0..60)) {
        let mut model = BTreeMap::new();
        let mut bytes = Vec::new();
        for (step, (first, tat)) in changes.into_iter().enumerate() {
            let now = NOW + step as u64 / 2;
            bytes = States::parse(&bytes).with(subject(first), tat, now);
            model.insert(subject(first), tat);
            model.retain(|_, tat| *tat > now);
            let states = States::parse(&bytes);
            prop_assert!(!states.malformed);
            prop_assert_eq!(states.entries.iter().map(split).collect::<BTreeMap<_, _>>(), model.clone());
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_and_replaced_without_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>(), entry in any::<[u8; 16]>(),
    ) {
        if let (true, Some(first)) = (version, bytes.first_mut()) {
            *first = VERSION;
        }
        let states = States::parse(&bytes);
        states.get(Subject(entry));
        let written = states.with(Subject(entry), u64::MAX, NOW);
        let again = States::parse(&written);
        prop_assert!(!again.malformed);
        prop_assert_eq!(again.get(Subject(entry)), u64::MAX);
    }
}
