//! The acknowledgement must be true: nobody alive is left out, nobody dead is waited for.

use super::*;
use crate::host::fake::FakeHost;

const MS: u64 = 1_000_000;

#[test]
fn every_live_worker_counts_and_a_dead_one_does_not() {
    let host = FakeHost::at(1);
    let (mut a, mut b) = (Presence::new(1), Presence::new(2));
    a.announce(&host, (7, 1), 20 * MS);
    b.announce(&host, (7, 1), 20 * MS);
    let enforce = |position, now| all_enforce(&read(&host).unwrap(), position, now);
    assert!(enforce((7, 1), 30 * MS));
    assert!(!enforce((7, 2), 30 * MS));
    a.announce(&host, (7, 2), 40 * MS);
    assert!(!enforce((7, 2), 50 * MS), "b is behind");
    b.announce(&host, (7, 3), 60 * MS);
    assert!(enforce((7, 2), 60 * MS));
    assert!(!enforce((8, 1), 60 * MS), "another incarnation is another table");
    a.announce(&host, (7, 4), 70 * MS);
    assert!(!enforce((7, 4), 80 * MS));
    assert!(enforce((7, 4), 60 * MS + DEAD_AFTER_NS), "b has been silent for too long");
}

#[test]
fn a_worker_without_a_table_is_waited_for() {
    let host = FakeHost::at(1);
    let mut a = Presence::new(1);
    a.announce(&host, (0, 0), 0);
    assert!(!all_enforce(&read(&host).unwrap(), (7, 1), 1));
}

#[test]
fn the_roster_is_renewed_seldom_and_forgets_the_dead() {
    let host = FakeHost::at(1);
    let mut a = Presence::new(1);
    a.announce(&host, (7, 1), 20 * MS);
    let writes = host.calls().1;
    a.announce(&host, (7, 1), 40 * MS);
    assert_eq!(host.calls().1, writes);
    let mut b = Presence::new(2);
    b.announce(&host, (7, 1), 20 * MS + DEAD_AFTER_NS);
    assert_eq!(read(&host).unwrap().iter().map(|entry| entry.worker).collect::<Vec<_>>(), [2]);
}

#[test]
fn conflicts_and_errors_are_tried_again_at_the_next_tick() {
    let host = FakeHost::at(1);
    let mut a = Presence::new(1);
    a.announce(&host, (7, 1), 0);
    host.inject_conflicts(100);
    a.announce(&host, (7, 2), 2);
    assert!(!all_enforce(&read(&host).unwrap(), (7, 2), 2));
    host.inject_conflicts(0);
    host.fail_reads(Some(10));
    a.announce(&host, (7, 2), 3);
    host.fail_reads(None);
    a.announce(&host, (7, 2), 4);
    assert!(all_enforce(&read(&host).unwrap(), (7, 2), 4));
}

#[test]
fn an_older_worker_is_known_by_its_name_while_it_lives() {
    let host = FakeHost::at(1);
    let understood = |now| super::understood(&read(&host).unwrap(), now);
    assert_eq!(understood(0), Protocol::Two, "nobody would misread anything");
    let (mut new, mut old) = (Presence::new(name(u64::MAX)), Presence::new(7));
    assert_ne!(name(1), name(2));
    new.announce(&host, (7, 1), 20 * MS);
    assert_eq!(understood(30 * MS), Protocol::Two);
    old.announce(&host, (7, 1), 20 * MS);
    assert_eq!(understood(30 * MS), Protocol::One);
    assert_eq!(understood(20 * MS + DEAD_AFTER_NS), Protocol::Two, "it has been silent for too long");
}
