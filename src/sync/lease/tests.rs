//! One leader at a time, whatever the order of events.

use super::*;
use crate::host::fake::FakeHost;

const SECOND: u64 = 1_000_000_000;

#[test]
fn one_candidate_leads_and_renews() {
    let host = FakeHost::at(1);
    let (mut a, mut b) = (Lease::new(), Lease::new());
    let process = a.hold(&host, 0).unwrap().expect("held");
    for tick in 0..100u64 {
        let now = tick * SECOND / 10;
        assert_eq!(a.hold(&host, now), Ok(Some(process)));
        assert_eq!(b.hold(&host, now), Ok(None));
        assert!(a.is_held(now) && !b.is_held(now));
    }
}

#[test]
fn a_silent_leader_is_replaced_and_the_process_keeps_its_name() {
    let host = FakeHost::at(1);
    let (mut a, mut b) = (Lease::new(), Lease::new());
    let process = a.hold(&host, 0).unwrap();
    assert_eq!(b.hold(&host, LEASE_NS - 1), Ok(None));
    assert_eq!(b.hold(&host, LEASE_NS), Ok(process));
    assert_eq!(a.hold(&host, LEASE_NS + 2), Ok(None));
    assert!(!a.is_held(LEASE_NS + 2));
}

#[test]
fn a_released_lease_is_free_at_once() {
    let host = FakeHost::at(1);
    let (mut a, mut b) = (Lease::new(), Lease::new());
    a.hold(&host, 0).unwrap();
    b.release(&host).unwrap();
    assert!(a.hold(&host, 2).unwrap().is_some(), "only the holder can release");
    a.release(&host).unwrap();
    assert!(b.hold(&host, 3).unwrap().is_some());
}

#[test]
fn a_lost_compare_and_swap_is_no_lease() {
    let host = FakeHost::at(1);
    let (mut a, mut b) = (Lease::new(), Lease::new());
    a.hold(&host, 0).unwrap();
    host.inject_conflicts(1);
    assert_eq!(b.hold(&host, 2 * LEASE_NS), Ok(None));
}

#[test]
fn a_term_from_an_impossible_future_or_of_foreign_bytes_does_not_block() {
    let host = FakeHost::at(1);
    let mut a = Lease::new();
    host.write(LEADER_KEY, &Term { owner: 1, until: u64::MAX, process: 9 }.encode(), Expect::Any).unwrap();
    assert_eq!(a.hold(&host, 5), Ok(Some(9)));
    host.write(LEADER_KEY, b"\xFFforeign", Expect::Any).unwrap();
    assert!(a.hold(&host, 6).unwrap().is_some());
}
