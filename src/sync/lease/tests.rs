//! One leader at a time, whatever the order of events.

use super::*;
use crate::host::fake::FakeHost;

const SECOND: u64 = 1_000_000_000;

#[test]
fn one_candidate_leads_and_renews() {
    let host = FakeHost::at(1);
    let (a, b) = (Lease::new(1, 0), Lease::new(1, 0));
    let process = a.hold(&host, 0).unwrap().expect("held");
    for tick in 0..100u64 {
        let now = tick * SECOND / 10;
        assert_eq!(a.hold(&host, now), Ok(Some(process)));
        assert_eq!(b.hold(&host, now), Ok(None));
    }
}

#[test]
fn a_silent_leader_is_replaced_and_the_process_keeps_its_name() {
    let host = FakeHost::at(1);
    let (a, b) = (Lease::new(1, 0), Lease::new(1, 0));
    let process = a.hold(&host, 0).unwrap();
    assert_eq!(b.hold(&host, LEASE_NS - 1), Ok(None));
    assert_eq!(b.hold(&host, LEASE_NS), Ok(process));
    assert_eq!(a.hold(&host, LEASE_NS + 2), Ok(None));
}

#[test]
fn a_released_lease_is_free_at_once() {
    let host = FakeHost::at(1);
    let (a, b) = (Lease::new(1, 0), Lease::new(1, 0));
    a.hold(&host, 0).unwrap();
    b.release(&host).unwrap();
    assert!(a.hold(&host, 2).unwrap().is_some(), "only the holder can release");
    a.release(&host).unwrap();
    assert!(b.hold(&host, 3).unwrap().is_some());
}

#[test]
fn a_lost_compare_and_swap_is_no_lease() {
    let host = FakeHost::at(1);
    let (a, b) = (Lease::new(1, 0), Lease::new(1, 0));
    a.hold(&host, 0).unwrap();
    host.inject_conflicts(1);
    assert_eq!(b.hold(&host, 2 * LEASE_NS), Ok(None));
}

#[test]
fn a_newer_configuration_with_another_control_plane_takes_over_at_once_and_keeps_the_lease() {
    let host = FakeHost::at(1);
    let (old, same, new) = (Lease::new(1, 10), Lease::new(1, 20), Lease::new(2, 20));
    let process = old.hold(&host, 30).unwrap();
    assert_eq!(same.hold(&host, 31), Ok(None), "the same control plane: no reason to change");
    assert_eq!(new.hold(&host, 32), Ok(process));
    assert_eq!(old.hold(&host, 33), Ok(None));
}

#[test]
fn the_lease_cannot_be_taken_right_after_a_renewal_by_a_clock_that_was_read_before_it() {
    let host = FakeHost::at(1);
    let (a, b) = (Lease::new(1, 0), Lease::new(1, 0));
    a.hold(&host, 1_000).unwrap();
    assert_eq!(b.hold(&host, 999), Ok(None));
}

#[test]
fn foreign_bytes_do_not_block() {
    let host = FakeHost::at(1);
    let a = Lease::new(1, 0);
    host.write(LEADER_KEY, b"\xFFforeign", Expect::Any).unwrap();
    assert!(a.hold(&host, 6).unwrap().is_some());
}
