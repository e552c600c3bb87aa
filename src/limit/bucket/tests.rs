//! The compare-and-swap that guards a bucket's bytes.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows should fail")]

use std::cell::Cell;
use std::num::NonZeroU32;

use super::*;
use crate::host::fake::FakeHost;
use crate::host::{Clock as _, Versioned};
use crate::limit::gcra::Quota;
use crate::limit::slot::Subject;
use crate::limit::states::ENTRY_LEN;

const NOW: u64 = 1000;

/// An account of bucket 3.
fn account() -> Account {
    let number = |n| NonZeroU32::new(n).unwrap();
    let mut subject = [1; 16];
    (subject[14], subject[15]) = (0, 3);
    Account { subject: Subject(subject), quota: Quota::new(number(1), number(1), number(100)) }
}

fn stored(host: &FakeHost) -> Option<Versioned> {
    host.read(&key(3)).unwrap()
}

fn tat(known: Known) -> u64 {
    match known {
        Known::Own(tat) | Known::Carried(tat) => tat,
        Known::Nothing => 0,
    }
}

/// Adds one to the state, starting at [`NOW`] + 1.
fn count(host: &FakeHost) -> Result<u64, Unavailable> {
    update(host, account(), NOW, |known| {
        let next = tat(known).max(NOW) + 1;
        Ok(Step::Store(Change::only(next), next))
    })
}

#[test]
fn a_missing_bucket_is_created_without_overwriting_one_that_appeared_meanwhile() {
    let host = FakeHost::at(0);
    let raced = Cell::new(false);
    let answer = update(&host, account(), NOW, |known| {
        if !raced.replace(true) {
            count(&host).unwrap();
        }
        Ok(Step::Store(Change::only(tat(known).max(NOW) + 1), tat(known)))
    });
    assert_eq!(answer, Ok(NOW + 1), "the second look sees what the other worker stored");
    assert_eq!(States::parse(&stored(&host).unwrap().bytes).get(account(), NOW), Known::Own(NOW + 2));
}

#[test]
fn a_change_between_reading_and_writing_is_not_lost() {
    let host = FakeHost::at(0);
    count(&host).unwrap();
    let rounds = Cell::new(0);
    let answer = update(&host, account(), NOW, |known| {
        rounds.set(rounds.get() + 1);
        if rounds.get() <= 5 {
            count(&host).unwrap();
        }
        Ok(Step::Store(Change::only(tat(known) + 1), tat(known) + 1))
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
    let empty = States::parse(&[]);
    let good = empty.with(account(), Change::only(NOW + 9), NOW);
    let behind = Account { subject: Subject([2; 16]), ..account() };
    let two = States::parse(&good).with(behind, Change::only(NOW + 9), NOW);
    let mut other_version = good.clone();
    other_version[0] = 2;
    let unsorted = [&two[..1], &two[1 + ENTRY_LEN..], &two[1..=ENTRY_LEN]].concat();
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
