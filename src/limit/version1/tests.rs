//! Two versions on one host: what the old one has counted, the new one goes on from.

use std::num::NonZeroU32;

use super::*;
use crate::contract::key::{Environment, KeyHash};
use crate::contract::record::{KeyRecord, Limit, Scope};
use crate::host::Expect;
use crate::host::fake::FakeHost;
use crate::limit::Limiter;

const SECOND: u64 = 1_000_000_000;

fn slot(scope: Scope, (requests, window, burst): (u32, u32, u32)) -> Slot {
    let number = |n| NonZeroU32::new(n).unwrap();
    let limit = Limit { scope, burst: Some(number(burst)), ..Limit::per(number(requests), number(window)) };
    let record = KeyRecord {
        limits: vec![limit.clone()],
        ..KeyRecord::new("key_a".to_owned(), "ws_a".to_owned(), Environment::Live)
    };
    Slot::new(&limit, &KeyHash([7; 32]), &record)
}

/// What the version before wrote: SHA-256 of `key` or `workspace`, zero, whose, zero, name; the first half of it.
const OLD_KEY: &str = "da6c8e6e64d35ea36cf194c98bdeb07b";
/// Of a workspace with 10 an hour, 10 at once.
const OLD_WORKSPACE: &str = "7853ba32000a3b3956f60bb71fea7e64";

fn old_entry(host: &FakeHost, hex_subject: &str, tat: u64) {
    let mut subject = [0; 16];
    hex::decode_to_slice(hex_subject, &mut subject).unwrap();
    let subject = Subject(subject);
    let bytes = [&[VERSION], &subject.0[..], &tat.to_le_bytes()].concat();
    host.write(&key(subject.bucket()), &bytes, Expect::Any).unwrap();
}

fn admitted(limiter: &mut Limiter, host: &FakeHost, slot: &Slot) -> usize {
    (0..2000).filter(|_| limiter.admit(host, std::slice::from_ref(slot)).is_ok()).count()
}

#[test]
fn what_an_old_worker_has_counted_stays_used_and_is_carried_when_the_numbers_change() {
    for (scope, subject) in [(Scope::Key, OLD_KEY), (Scope::Workspace, OLD_WORKSPACE)] {
        let host = FakeHost::at(100);
        let now = 100 * SECOND;
        old_entry(&host, subject, now + 7 * 360 * SECOND);
        let mut limiter = Limiter::new();
        assert_eq!(admitted(&mut limiter, &host, &slot(scope, (10, 3600, 10))), 3, "{scope:?}: seven of ten");
        assert_eq!(admitted(&mut limiter, &host, &slot(scope, (1000, 3600, 1000))), 990, "{scope:?}");
        // The old state is as it was, and outlives what is known here without coming back.
        host.advance_ns(3600 * SECOND);
        assert_eq!(admitted(&mut limiter, &host, &slot(scope, (1000, 3600, 1000))), 1000, "{scope:?}");
    }
}

#[test]
fn an_old_state_that_these_numbers_cannot_have_led_to_does_not_refuse() {
    let host = FakeHost::at(100);
    old_entry(&host, OLD_KEY, 100 * SECOND + 3600 * SECOND);
    let mut limiter = Limiter::new();
    assert_eq!(admitted(&mut limiter, &host, &slot(Scope::Key, (10, 60, 10))), 10);
    host.advance_ns(60 * SECOND);
    assert_eq!(admitted(&mut limiter, &host, &slot(Scope::Key, (10, 60, 10))), 10);
}

#[test]
fn an_old_bucket_is_read_once_when_nothing_is_left_in_it_and_then_swept() {
    let (host, slot) = (FakeHost::at(100), slot(Scope::Key, (10, 60, 10)));
    let mut before = Before::default();
    let now = 100 * SECOND;
    old_entry(&host, OLD_KEY, now + 1);
    for _ in 0..3 {
        assert_eq!(before.tat(&host, &slot, now), Ok(now + 1));
    }
    assert_eq!(host.calls().0, 3, "there is something in it");
    let number = slot.before.bucket();
    before.sweep(&host, number, now).unwrap();
    assert_eq!(host.keys().len(), 1, "not at rest yet");
    let reads = host.calls().0;
    before.sweep(&host, number, now + 1).unwrap();
    assert_eq!(host.keys().len(), 0);
    for _ in 0..3 {
        assert_eq!(before.tat(&host, &slot, now + 1), Ok(0));
        before.sweep(&host, number, now + 1).unwrap();
    }
    assert_eq!(host.calls().0, reads + 1, "nothing is left, so it is not read again");
}

#[test]
fn bytes_of_an_unknown_form_and_failures_are_told_apart() {
    let (host, slot) = (FakeHost::at(100), slot(Scope::Key, (10, 60, 10)));
    let mut before = Before::default();
    host.fail_reads(Some(10));
    assert_eq!(
        before.tat(&host, &slot, 0),
        Err(Unavailable),
        "the limit is decided without shared data, then"
    );
    host.fail_reads(None);
    host.write(&key(slot.before.bucket()), &[9, 1, 2], Expect::Any).unwrap();
    assert_eq!(before.tat(&host, &slot, 0), Ok(0));
}
