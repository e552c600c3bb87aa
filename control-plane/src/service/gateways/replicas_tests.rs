//! Several replicas on one table: what each says and hears in cases that are told, and in random histories of replicas that die,
//! freeze and come back, gateways that move, writes that arrive late, and a database that loses the newest of them. In all of them no
//! receipt ever says "all" while a gateway serves, or will serve, without the change.
mod plane;
mod rules;
mod table;
mod world;

use std::time::Duration;

use self::plane::{Plane, head, planes, poll, poll_of, poll_under};
use self::table::Table;
use self::world::World;
use super::registry::{COUNTED_ONCE_IN, MAX_GATEWAYS, MAX_WITHOUT_TABLE};
use super::shared::HEARD_OF_MANY;
use crate::domain::credentials::Credential;
use crate::domain::replicas::ALIVE;
use crate::service::clock::Clock;

#[test]
fn no_receipt_says_all_too_early() {
    let histories = std::env::var("HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let mut all = 0;
    for seed in 0..histories {
        let mut world = World::new(seed);
        for step in 0..250 {
            world.step();
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.check()));
            assert!(caught.is_ok(), "seed {seed}, step {step}");
        }
        all += world.all;
    }
    // It is not by saying nothing that they are right.
    assert!(all > u32::try_from(histories).unwrap(), "{all}");
}

#[test]
fn what_was_acknowledged_of_a_lost_revision_is_not_that_of_the_one_with_its_number() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 1);
    let plane = &mut planes[0];
    let first = poll(plane);
    plane.tells(&mut table, clock.instant());
    first.acknowledges(Some(1), &head(plane.head));
    plane.tells(&mut table, clock.instant());
    let durable = table.clone();
    table.log.push(2);
    plane.head = table.head();
    first.finish();
    // It has the page with 2, and says so, while the database dies.
    let second = poll(plane);
    second.acknowledges(Some(2), &head(plane.head));
    let said = plane.gateways.inner.registry.lock().publication(&head(plane.head), clock.instant()).unwrap();
    plane.gateways.inner.registry.lock().not_published(said);
    // The standby has not got that, and our next commit there takes its number.
    table = durable;
    table.log.push(3);
    plane.head = table.head();
    let turn = plane.gateways.inner.registry.lock().shared.as_mut().unwrap().begin_receipt();
    for _ in 0..3 {
        plane.tells(&mut table, clock.instant());
        plane.hears(&table, &clock);
    }
    let receipt = plane.gateways.line_up(2, None, Some(turn));
    assert!(!receipt.is_confirmed() && !receipt.gateways.is_empty(), "{receipt:?}");
}

#[test]
fn a_look_is_news_when_it_passes_a_turn_or_a_replica_dies() {
    let clock = Clock::default();
    let (mut table, planes) = planes(&clock, 2);
    let looks = |table: &Table| {
        let sight = table.look(&planes[0].gateways, clock.instant());
        planes[0].gateways.inner.registry.lock().saw(sight, clock.instant(), clock.now()).unwrap()
    };
    assert!(!looks(&table), "nothing is new");
    // A receipt waits for that, and nobody else has anything to say.
    let said = planes[0].gateways.inner.registry.lock().publication(&head(table.head()), clock.instant());
    let (said, at) = (said.unwrap(), clock.instant());
    let what = table.publish(&said, at);
    planes[0].gateways.inner.registry.lock().published(&said, what).unwrap();
    assert!(looks(&table), "it is behind a later turn");
    assert!(!looks(&table));
    clock.advance(ALIVE + Duration::from_millis(1));
    assert!(looks(&table), "nobody is there any more");
    assert!(!looks(&table));
}

#[test]
fn a_poll_goes_on_under_no_other_process_though_it_has_the_same_id() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    let second = poll_of(&planes[0], 4);
    // The first one under this name came to the other replica, which was faster.
    let first = poll_of(&planes[1], 3);
    planes[1].tells(&mut table, clock.instant());
    planes[0].tells(&mut table, clock.instant());
    planes[0].hears(&table, &clock);
    first.finish();
    // Then it comes here, before the second one is told to take another id.
    let moved = poll_of(&planes[0], 3);
    assert_eq!((moved.is_known_now(), second.is_known_now()), (Some(true), Some(false)));
    second.acknowledges(Some(1), &head(planes[0].head));
    assert_eq!(planes[0].gateways.list()[0].acknowledged, None);
}

#[test]
fn only_who_is_new_is_written_for_good() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    for (at, is_new) in [(0, true), (1, false), (0, false)] {
        let plane = &mut planes[at];
        plane.hears(&table, &clock);
        let poll = poll(plane);
        plane.says(clock.instant());
        let lines: Vec<_> =
            plane.said.iter().flat_map(|said| &said.gateways).map(|line| (line.takes, line.is_new)).collect();
        assert_eq!(lines, [(true, is_new)]);
        plane.writes(&mut table, clock.instant());
        plane.is_told();
        assert_eq!(poll.is_known_now(), Some(true));
        poll.finish();
    }
}

#[test]
fn a_gateway_whose_polls_go_to_two_replicas_in_turn_is_ended_by_neither() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    for turn in 0..6_u32 {
        let (at, other) = if turn % 2 == 0 { (0, 1) } else { (1, 0) };
        // Neither has looked since: that is once a second.
        let plane = &mut planes[at];
        plane.head = table.head();
        let poll = poll(plane);
        plane.tells(&mut table, clock.instant());
        poll.acknowledges(Some(plane.head.revision), &head(plane.head));
        plane.tells(&mut table, clock.instant());
        {
            let over = std::pin::pin!(poll.is_over());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(over.poll(&mut context).is_pending(), "turn {turn}");
        }
        let (row, _) = table.gateways.values().next().unwrap();
        assert_eq!(row.acknowledged, Some(plane.head.revision), "turn {turn}");
        poll.finish();
        // What the other one says late of the last poll there takes nothing.
        if turn > 3 {
            planes[other].tells(&mut table, clock.instant());
        }
        let keeper = table.gateways.values().next().and_then(|(row, _)| row.keeper.clone());
        assert_eq!(keeper, planes[at].gateways.replica(), "turn {turn}");
        clock.advance(Duration::from_millis(200));
        table.log.push(turn + 10);
    }
}

#[test]
fn who_was_pushed_out_elsewhere_needs_a_row_before_its_next_page() {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    let first = poll(&planes[0]);
    planes[0].tells(&mut table, clock.instant());
    assert_eq!(first.is_known_now(), Some(true));
    planes[1].hears(&table, &clock);
    planes[1].gateways.inner.registry.lock().push_out("shared/g".to_owned(), clock.instant()).unwrap();
    planes[1].tells(&mut table, clock.instant());
    assert!(table.gateways.is_empty());
    // It says something more: there is nothing to write that to.
    first.acknowledges(Some(1), &head(planes[0].head));
    planes[0].tells(&mut table, clock.instant());
    assert!(table.gateways.is_empty());
    first.finish();
    let second = poll(&planes[0]);
    assert_eq!(second.is_known_now(), None);
    planes[0].says(clock.instant());
    assert!(planes[0].said.as_ref().unwrap().gateways[0].is_new, "and one that is not lost");
    planes[0].writes(&mut table, clock.instant());
    planes[0].is_told();
    assert_eq!(second.is_known_now(), Some(true));
}

/// Somebody has stolen a credential, and invents names at the first replica; how many rows they had at most. A gateway of another credential holds its poll at the second one.
fn invents(names: usize, at_once: usize, acknowledges: bool) -> (usize, Table, Vec<Plane>) {
    let clock = Clock::default();
    let (mut table, mut planes) = planes(&clock, 2);
    let honest = poll(&planes[1]);
    let (mut most, mut number) = (0, 0);
    while number < names {
        for _ in 0..at_once {
            number += 1;
            let invented = poll_under(&planes[0], Credential::named("stolen"), &format!("n{number}"), 9);
            if acknowledges {
                invented.acknowledges(Some(1), &head(planes[0].head));
            }
            invented.finish();
        }
        for plane in &mut planes {
            plane.tells(&mut table, clock.instant());
            plane.hears(&table, &clock);
        }
        most = most.max(stolen(table.gateways.keys()));
        let over = std::pin::pin!(honest.is_over());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(over.poll(&mut context).is_pending(), "after {number}");
        clock.advance(Duration::from_millis(20));
    }
    assert_eq!(honest.is_known_now(), Some(true));
    assert!(table.gateways["shared/g"].0.expected_for > Duration::ZERO);
    (most, table, planes)
}

fn stolen<'a>(ids: impl Iterator<Item = &'a String>) -> usize {
    ids.filter(|id| id.starts_with("stolen/")).count()
}

#[test]
fn names_that_somebody_invents_have_so_many_rows_and_no_more() {
    let (at_once, most) = (50, MAX_WITHOUT_TABLE + COUNTED_ONCE_IN);
    let (rows, table, planes) = invents(4 * MAX_WITHOUT_TABLE, at_once, false);
    assert!((MAX_WITHOUT_TABLE..=most).contains(&rows), "{rows} rows");
    let listed = || planes[1].gateways.list().into_iter().map(|view| view.id).collect::<Vec<_>>();
    assert!(stolen(listed().iter()) <= most + HEARD_OF_MANY + at_once, "the other replica finds out");
    // And all of it some minutes later.
    let entries = &planes[1].gateways.inner.registry;
    entries.lock().shared.as_mut().unwrap().all_seen_at = None;
    planes[1].hears(&table, &planes[1].gateways.inner.clock);
    assert_eq!(stolen(listed().iter()), stolen(table.gateways.keys()));
}

#[test]
fn so_have_names_that_acknowledge_and_one_row_stands_for_those_that_were_pushed_out() {
    let (rows, table, planes) = invents(MAX_GATEWAYS + 1_000, 500, true);
    assert!(rows <= MAX_GATEWAYS + 500, "{rows} rows");
    for plane in &planes {
        let receipt = plane.gateways.line_up(1, None, None);
        assert!(receipt.cut_off.contains(&"stolen/~pushed-out".to_owned()));
    }
    assert!(table.gateways.contains_key("stolen/~pushed-out"));
}
