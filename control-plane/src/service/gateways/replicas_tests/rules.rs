//! Each rule that receipts rest on, by itself: random histories break some of them only once in thousands.

use std::time::Duration;

use super::super::Poll;
use super::plane::{Plane, head, planes, poll};
use crate::domain::replicas::ALIVE;
use crate::service::clock::Clock;

/// A receipt's revision and turn at this replica.
fn receipt_begins(plane: &Plane) -> u64 {
    plane.gateways.inner.registry.lock().shared.as_mut().unwrap().begin_receipt()
}

/// Replicas that a receipt of this revision waits for.
fn behind(plane: &Plane, revision: u64, turn: u64) -> Vec<String> {
    plane.gateways.line_up(revision, None, Some(turn)).replicas
}

fn id_of(plane: &Plane) -> String {
    plane.gateways.replica().unwrap()
}

fn is_over(poll: &Poll) -> bool {
    let over = std::pin::pin!(poll.is_over());
    over.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
}

#[test]
fn a_receipt_waits_for_the_replica_itself_and_for_each_that_is_behind() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    table.log.push(2);
    planes[0].head = table.head();
    let turn = receipt_begins(&planes[0]);
    let (me, other) = (id_of(&planes[0]), id_of(&planes[1]));
    assert_eq!(behind(&planes[0], 2, turn), [me], "it has not looked since");
    planes[0].tells(&mut table, clock.instant());
    planes[0].hears(&table, &clock);
    assert_eq!(behind(&planes[0], 2, turn), [other], "that one may have answered somebody with less");
    planes[1].head = table.head();
    planes[1].tells(&mut table, clock.instant());
    planes[0].hears(&table, &clock);
    assert_eq!(behind(&planes[0], 2, turn), Vec::<String>::new());
}

#[test]
fn a_look_notices_that_the_database_has_lost_what_this_replica_or_another_one_has_told() {
    for at in [0, 1] {
        let clock = Clock::default();
        let (mut table, mut planes) = planes(&clock, 2);
        let durable = table.clone();
        let turn = receipt_begins(&planes[0]);
        planes[0].tells(&mut table, clock.instant());
        planes[0].hears(&table, &clock);
        planes[1].tells(&mut table, clock.instant());
        planes[0].hears(&table, &clock);
        let id = id_of(&planes[at]);
        let row = durable.replicas[&id].clone();
        table.replicas.insert(id, row);
        planes[0].hears(&table, &clock);
        assert_eq!(behind(&planes[0], 1, turn), [id_of(&planes[0])], "of {at}: from the beginning");
    }
}

#[test]
fn a_replica_that_stands_at_a_lost_revision_begins_again() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 1);
    let plane = &mut planes[0];
    let held = poll(plane);
    plane.tells(&mut table, clock.instant());
    let (durable, before) = (table.clone(), id_of(plane));
    table.log.push(2);
    plane.head = table.head();
    table.log = durable.log;
    // Nobody has acknowledged anything of it.
    plane.tells(&mut table, clock.instant());
    assert_ne!(id_of(plane), before);
    assert!(is_over(&held), "whoever polls says again where it is");
}

#[test]
fn what_was_acknowledged_elsewhere_is_said_again() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    let first = poll(&planes[1]);
    first.acknowledges(Some(1), &head(planes[1].head));
    planes[1].tells(&mut table, clock.instant());
    planes[0].hears(&table, &clock);
    assert_eq!(planes[0].gateways.list()[0].acknowledged, Some(1));
    let second = poll(&planes[0]);
    assert_eq!(
        planes[0].gateways.list()[0].acknowledged,
        None,
        "that was of the history that was there then"
    );
    second.acknowledges(Some(1), &head(planes[0].head));
    planes[0].tells(&mut table, clock.instant());
    // The one that it left has something to say of it, and has lost it.
    first.acknowledges(None, &head(planes[1].head));
    planes[1].tells(&mut table, clock.instant());
    assert!(is_over(&first), "it goes on nowhere but there");
    assert_eq!(planes[1].gateways.list()[0].acknowledged, None);
    assert_eq!(table.gateways["shared/g"].0.acknowledged, Some(1));
}

#[test]
fn who_was_taken_for_dead_gives_nobody_new_a_page_before_it_has_written_twice() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    clock.advance(ALIVE + Duration::from_millis(1));
    let plane = &mut planes[0];
    let new = poll(plane);
    plane.tells(&mut table, clock.instant());
    assert_eq!(new.is_known_now(), None, "the others may have given receipts without it");
    plane.tells(&mut table, clock.instant());
    assert_eq!(new.is_known_now(), Some(true));
}

#[test]
fn a_poll_that_has_begun_is_not_ended_by_what_another_replica_has_written_before() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    let first = poll(&planes[1]);
    planes[1].tells(&mut table, clock.instant());
    planes[0].hears(&table, &clock);
    first.finish();
    planes[1].tells(&mut table, clock.instant());
    // It comes here before that is heard.
    let second = poll(&planes[0]);
    planes[0].hears(&table, &clock);
    assert!(!is_over(&second));
    assert_eq!(second.is_known_now(), Some(true));
}
