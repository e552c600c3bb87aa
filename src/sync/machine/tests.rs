//! The state machine as a table: what happened so far, what happens now, what has to be done.

use super::*;
use crate::contract::samples::{self, hash, record};

const SECOND: u64 = NANOS_PER_SECOND;

fn settings() -> Settings {
    Settings {
        gateway: "gw-1".to_owned(),
        wait_seconds: 25,
        page_size: 10,
        first_page_size: 10,
        retry_ms: (200, 5_000),
    }
}

fn at(revision: u64) -> Option<Position> {
    Some(Position { epoch: "e_1".to_owned(), revision, tag: None })
}

fn page(revision: u64, upserts: &[u8]) -> Page {
    samples::page(revision, upserts.iter().map(|seed| (hash(*seed), record(1))), [])
}

fn reset(revision: u64, upserts: &[u8], more: bool) -> Page {
    Page { reset: true, more, ..page(revision, upserts) }
}

fn poll(epoch: Option<&str>, after: u64, cursor: Option<u8>) -> Option<Effect> {
    Some(Effect::Poll(ChangesQuery {
        epoch: epoch.map(str::to_owned),
        after,
        tag: None,
        gateway: "gw-1".to_owned(),
        limit: 10,
        wait: 25,
        stale: false,
        workers: None,
        accepts: Protocol::One,
        shadow: None,
        cursor: cursor.map(|seed| KeyHash([seed; 32])),
    }))
}

/// The same poll with another wait.
fn waiting(wait: u32, poll: Option<Effect>) -> Option<Effect> {
    match poll {
        Some(Effect::Poll(query)) => Some(Effect::Poll(ChangesQuery { wait, ..query })),
        other => other,
    }
}

const ENFORCED: Event = Event::Tick { enforced: true };
const LAGGING: Event = Event::Tick { enforced: false };
const DONE: Event = Event::Applied(Ok(()));

/// Plays (seconds, event, effect) rows; the dice always fall on 0, so a pause is half of its step.
fn play(mut machine: Machine, rows: Vec<(f64, Event, Option<Effect>)>) -> Machine {
    for (index, (seconds, event, expected)) in rows.into_iter().enumerate() {
        let now = (seconds * 1e9) as u64;
        assert_eq!(machine.on(event, now, 0), expected, "row {index}");
    }
    machine
}

#[test]
fn a_new_gateway_takes_the_whole_table_in_pages_and_acknowledges_it_once_enforced() {
    let (first, second) = (reset(7, &[1, 2], true), reset(9, &[3], false));
    let after = Some(KeyHash([2; 32]));
    play(
        Machine::new(settings(), None, 0),
        vec![
            (0.0, LAGGING, poll(None, 0, None)),
            (0.1, Event::Page(first.clone()), Some(Effect::ApplyReset { page: first, after: None })),
            (0.1, DONE, poll(None, 0, Some(2))),
            (0.2, Event::Page(second.clone()), Some(Effect::ApplyReset { page: second, after })),
            (0.2, DONE, None),
            (0.3, LAGGING, None),
            // The revision of the first page: what changed while the pages came is asked for again.
            (0.4, ENFORCED, poll(Some("e_1"), 7, None)),
        ],
    );
}

#[test]
fn a_change_is_acknowledged_only_when_every_worker_enforces_it() {
    let change = page(8, &[1]);
    play(
        Machine::new(settings(), at(7), 0),
        vec![
            (0.0, ENFORCED, poll(Some("e_1"), 7, None)),
            (0.0, ENFORCED, None),
            (5.0, Event::Page(change.clone()), Some(Effect::ApplyDifference(change))),
            (5.0, DONE, None),
            (5.02, LAGGING, None),
            (5.04, ENFORCED, poll(Some("e_1"), 8, None)),
        ],
    );
}

#[test]
fn nothing_new_is_confirmed_and_asked_again() {
    play(
        Machine::new(settings(), at(7), 0),
        vec![
            (0.0, ENFORCED, poll(Some("e_1"), 7, None)),
            (25.0, Event::Page(page(7, &[])), Some(Effect::Confirm)),
            (25.0, DONE, poll(Some("e_1"), 7, None)),
        ],
    );
}

#[test]
fn a_control_plane_that_does_not_hold_polls_is_not_hammered() {
    play(
        Machine::new(settings(), at(7), 0),
        vec![
            (0.0, ENFORCED, poll(Some("e_1"), 7, None)),
            (0.001, Event::Page(page(7, &[])), Some(Effect::Confirm)),
            (0.001, DONE, None),
            (0.05, ENFORCED, None),
            (0.11, ENFORCED, poll(Some("e_1"), 7, None)),
        ],
    );
}

#[test]
fn failures_pause_longer_and_longer_and_change_nothing() {
    let mut machine = Machine::new(settings(), at(7), 0);
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let sent = (now..).step_by(1_000_000).find(|at| machine.on(ENFORCED, *at, 0).is_some()).unwrap();
        pauses.push((sent - now) / NANOS_PER_MILLI);
        assert_eq!(machine.on(Event::Failed(Kind::Lost), sent, 0), None);
        assert!(machine.failures() > 0);
        now = sent;
    }
    assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 2500, 2500]);
    assert_eq!(machine.on(ENFORCED, now + 3 * SECOND, 0), poll(Some("e_1"), 7, None));
    machine.on(Event::Page(page(7, &[])), now + 9 * SECOND, 0);
    machine.on(DONE, now + 9 * SECOND, 0);
    assert!(machine.failures() == 0);
}

#[test]
fn the_jitter_stays_between_half_of_the_step_and_the_step() {
    for dice in [0, 1, 12_345_678_901, u64::MAX] {
        let mut machine = Machine::new(settings(), at(7), 0);
        machine.on(ENFORCED, 0, dice);
        machine.on(Event::Failed(Kind::Lost), 0, dice);
        assert_eq!(machine.on(ENFORCED, 99 * NANOS_PER_MILLI, dice), None);
        assert!(machine.on(ENFORCED, 200 * NANOS_PER_MILLI, dice).is_some());
    }
}

#[test]
fn a_poll_that_nobody_answers_is_given_up() {
    play(
        Machine::new(settings(), at(7), 0),
        vec![
            (0.0, ENFORCED, poll(Some("e_1"), 7, None)),
            (60.0, ENFORCED, None),
            (60.1, ENFORCED, None),
            (60.3, ENFORCED, waiting(6, poll(Some("e_1"), 7, None))),
        ],
    );
}

#[test]
fn an_answer_that_nobody_waits_for_is_ignored() {
    let rows = vec![
        (0.0, Event::Page(page(9, &[1])), None),
        (0.0, DONE, None),
        (0.0, Event::Failed(Kind::Lost), None),
    ];
    let mut machine = play(Machine::new(settings(), at(7), 0), rows);
    assert_eq!(machine.on(ENFORCED, 0, 0), poll(Some("e_1"), 7, None));
}

#[test]
fn pages_that_make_no_sense_are_failures() {
    let other_epoch = Page { epoch: "e_2".to_owned(), ..page(8, &[1]) };
    let endless = Page { more: true, ..page(7, &[]) };
    for bad in [other_epoch, endless, page(6, &[1]), page(7, &[1]), page(6, &[])] {
        let mut machine = Machine::new(settings(), at(7), 0);
        machine.on(ENFORCED, 0, 0);
        assert_eq!(machine.on(Event::Page(bad.clone()), 0, 0), None, "{bad:?}");
        assert!(machine.failures() > 0);
        assert_eq!(machine.on(ENFORCED, SECOND, 0), poll(Some("e_1"), 7, None));
    }
    let mut empty = Machine::new(settings(), None, 0);
    empty.on(ENFORCED, 0, 0);
    assert_eq!(empty.on(Event::Page(page(8, &[1])), 0, 0), None, "a difference without a table");
}

#[test]
fn a_reset_goes_on_after_a_failure_and_starts_over_with_another_epoch() {
    let first = reset(7, &[1, 2], true);
    let strange = Page { epoch: "e_2".to_owned(), ..reset(3, &[3], true) };
    play(
        Machine::new(settings(), at(2), 0),
        vec![
            (0.0, ENFORCED, poll(Some("e_1"), 2, None)),
            (0.0, Event::Page(first.clone()), Some(Effect::ApplyReset { page: first, after: None })),
            (0.0, DONE, poll(None, 0, Some(2))),
            (0.0, Event::Failed(Kind::Lost), None),
            (0.1, ENFORCED, poll(None, 0, Some(2))),
            (0.1, Event::Page(strange), None),
            // What is there now is a mixture: nothing but a whole table will do.
            (1.0, ENFORCED, poll(None, 0, None)),
        ],
    );
}

#[test]
fn parts_for_different_protocols_make_no_table() {
    let first = tagged("t_7.2", reset(7, &[1, 2], true));
    play(
        Machine::new(settings(), at(2), 0),
        vec![
            (0.0, ENFORCED, poll(Some("e_1"), 2, None)),
            (0.0, Event::Page(first.clone()), Some(Effect::ApplyReset { page: first, after: None })),
            (0.0, DONE, poll(None, 0, Some(2))),
            (0.0, Event::Page(tagged("t_8", reset(8, &[3], false))), None),
            (1.0, ENFORCED, poll(None, 0, None)),
        ],
    );
}

#[test]
fn a_difference_in_the_middle_of_a_reset_leaves_no_table_behind() {
    let first = reset(7, &[1, 2], true);
    play(
        Machine::new(settings(), at(2), 0),
        vec![
            (0.0, ENFORCED, poll(Some("e_1"), 2, None)),
            (0.0, Event::Page(first.clone()), Some(Effect::ApplyReset { page: first, after: None })),
            (0.0, DONE, poll(None, 0, Some(2))),
            (0.0, Event::Page(page(2, &[])), None),
            (1.0, ENFORCED, poll(None, 0, None)),
        ],
    );
}

#[test]
fn a_new_leader_acknowledges_nothing_that_is_not_enforced() {
    play(
        Machine::new(settings(), at(7), 0),
        vec![(0.0, LAGGING, None), (0.1, LAGGING, None), (0.2, ENFORCED, poll(Some("e_1"), 7, None))],
    );
}

#[test]
fn whole_tables_in_a_row_come_slower_and_slower() {
    let mut machine = Machine::new(settings(), None, 0);
    let (mut now, mut times) = (0u64, Vec::new());
    for revision in 1..6 {
        now = (now..).step_by(1_000_000).find(|at| machine.on(ENFORCED, *at, 0).is_some()).unwrap();
        times.push(now / NANOS_PER_MILLI);
        machine.on(Event::Page(reset(revision, &[1], false)), now, 0);
        machine.on(DONE, now, 0);
    }
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [0, 200, 400, 800]);
}

#[test]
fn a_lost_table_is_asked_for_anew() {
    let change = page(8, &[1]);
    play(
        Machine::new(settings(), at(7), 0),
        vec![
            (0.0, ENFORCED, poll(Some("e_1"), 7, None)),
            (0.0, Event::Page(change.clone()), Some(Effect::ApplyDifference(change))),
            (0.0, Event::Applied(Err(ApplyError::NoTable)), None),
            (0.1, ENFORCED, poll(None, 0, None)),
        ],
    );
}

#[test]
fn a_page_that_the_host_refused_is_asked_for_again() {
    let change = page(8, &[1]);
    play(
        Machine::new(settings(), at(7), 0),
        vec![
            (0.0, ENFORCED, poll(Some("e_1"), 7, None)),
            (0.0, Event::Page(change.clone()), Some(Effect::ApplyDifference(change))),
            (0.0, Event::Applied(Err(ApplyError::Host(crate::host::HostError(10)))), None),
            (0.1, ENFORCED, poll(Some("e_1"), 7, None)),
        ],
    );
}

fn tagged(tag: &str, page: Page) -> Page {
    Page { tag: Some(tag.to_owned()), ..page }
}

fn poll_tagged(after: u64, tag: &str) -> Option<Effect> {
    let Some(Effect::Poll(query)) = poll(Some("e_1"), after, None) else { return None };
    Some(Effect::Poll(ChangesQuery { tag: Some(tag.to_owned()), ..query }))
}

#[test]
fn the_tag_of_where_the_table_stands_is_said_with_each_poll() {
    let (whole, change) = (tagged("t_7", reset(7, &[1], false)), tagged("t_8", page(8, &[2])));
    let machine = play(
        Machine::new(settings(), None, 0),
        vec![
            (0.0, ENFORCED, poll(None, 0, None)),
            (0.0, Event::Page(whole.clone()), Some(Effect::ApplyReset { page: whole, after: None })),
            (0.0, DONE, None),
            (0.1, ENFORCED, poll_tagged(7, "t_7")),
            (0.2, Event::Page(change.clone()), Some(Effect::ApplyDifference(change))),
            (0.2, DONE, None),
            (0.3, ENFORCED, poll_tagged(8, "t_8")),
            // A control plane that knows no tags, in the middle of a roll-out.
            (0.4, Event::Page(page(9, &[3])), Some(Effect::ApplyDifference(page(9, &[3])))),
            (0.4, DONE, None),
            (0.5, ENFORCED, poll(Some("e_1"), 9, None)),
        ],
    );
    assert_eq!(machine.position(), at(9).as_ref());
}

#[test]
fn a_gateway_without_a_tag_learns_it_from_a_page_without_news() {
    let mut machine = Machine::new(settings(), at(7), 0);
    machine.on(ENFORCED, 0, 0);
    assert_eq!(machine.on(Event::Page(tagged("t_7", page(7, &[]))), SECOND, 0), Some(Effect::Confirm));
    assert_eq!(machine.position(), at(7).as_ref(), "not before it is confirmed");
    assert_eq!(machine.on(DONE, SECOND, 0), poll_tagged(7, "t_7"));
}

#[test]
fn a_reset_of_its_own_takes_a_gateway_that_was_ahead_back() {
    let (first, second) = (tagged("t_3", reset(3, &[1], true)), tagged("t_4", reset(4, &[2], false)));
    let after = Some(KeyHash([1; 32]));
    play(
        Machine::new(settings(), at(9), 0),
        vec![
            (0.0, ENFORCED, poll(Some("e_1"), 9, None)),
            (0.0, Event::Page(first.clone()), Some(Effect::ApplyReset { page: first, after: None })),
            (0.0, DONE, poll(None, 0, Some(1))),
            (0.0, Event::Page(second.clone()), Some(Effect::ApplyReset { page: second, after })),
            (0.0, DONE, None),
            // Revision and tag of the first page: what changed meanwhile comes as a difference.
            (0.1, ENFORCED, poll_tagged(3, "t_3")),
        ],
    );
}

#[test]
fn a_cut_poll_makes_the_next_one_shorter_until_it_is_answered() {
    let short = |seconds| waiting(seconds, poll(Some("e_1"), 7, None));
    play(
        Machine::new(settings(), at(7), 0),
        vec![
            (0.0, ENFORCED, short(25)),
            // A balancer's 504 after ten seconds.
            (10.0, Event::Failed(Kind::Lost), None),
            (10.2, ENFORCED, short(5)),
            (15.2, Event::Page(page(7, &[])), Some(Effect::Confirm)),
            (15.2, DONE, short(5)),
            // Silence: the gateway itself gives up.
            (26.0, ENFORCED, None),
            (35.3, ENFORCED, None),
            (35.5, ENFORCED, short(1)),
        ],
    );
}

/// Late, and not because of the time that it took: a control plane whose database is slow, or a token that is wrong by now.
#[test]
fn what_the_control_plane_refuses_is_no_cut_however_late_it_comes() {
    for (kind, next) in [(Kind::Refused, 25), (Kind::Unreadable, 25), (Kind::Unreached, 5), (Kind::Lost, 5)] {
        play(
            Machine::new(settings(), at(7), 0),
            vec![
                (0.0, ENFORCED, poll(Some("e_1"), 7, None)),
                (10.0, Event::Failed(kind), None),
                (10.2, ENFORCED, waiting(next, poll(Some("e_1"), 7, None))),
            ],
        );
    }
}

/// The first poll of a gateway that has nothing, for a page of so many records.
fn first_poll(limit: u32, cursor: Option<u8>) -> Option<Effect> {
    match poll(None, 0, cursor) {
        Some(Effect::Poll(query)) => Some(Effect::Poll(ChangesQuery { limit, ..query })),
        other => other,
    }
}

fn with_large_first_pages() -> Settings {
    Settings { first_page_size: 5_000, ..settings() }
}

#[test]
fn the_first_table_comes_in_large_pages_and_in_small_ones_once_one_was_lost() {
    let (first, second) = (reset(7, &[1], true), reset(7, &[2], true));
    let third = reset(7, &[3], false);
    let after = |seed| Some(KeyHash([seed; 32]));
    let machine = play(
        Machine::new(with_large_first_pages(), None, 0),
        vec![
            (0.0, LAGGING, first_poll(5_000, None)),
            // A box on the way swallows it. Nothing held it, so nothing was cut.
            (30.0, Event::Failed(Kind::Lost), None),
            (30.2, LAGGING, first_poll(10, None)),
            (30.3, Event::Page(first.clone()), Some(Effect::ApplyReset { page: first, after: None })),
            // The pages that arrive are no reason to try a large one again.
            (30.3, DONE, first_poll(10, Some(1))),
            (30.4, Event::Page(second.clone()), Some(Effect::ApplyReset { page: second, after: after(1) })),
            (30.4, DONE, first_poll(10, Some(2))),
            (30.5, Event::Page(third.clone()), Some(Effect::ApplyReset { page: third, after: after(2) })),
            (30.5, DONE, None),
            (30.6, ENFORCED, poll(Some("e_1"), 7, None)),
        ],
    );
    assert_eq!(machine.failures(), 0);
}

#[test]
fn a_control_plane_that_is_away_says_nothing_about_large_pages() {
    let play_one = |kind, seconds, limit| {
        play(
            Machine::new(with_large_first_pages(), None, 0),
            vec![
                (0.0, LAGGING, first_poll(5_000, None)),
                (seconds, Event::Failed(kind), None),
                (seconds + 0.2, LAGGING, first_poll(limit, None)),
            ],
        );
    };
    play_one(Kind::Refused, 9.0, 5_000);
    play_one(Kind::Unreached, 0.1, 5_000);
    // The connection was there and broke off before an answer, or in it; or the answer was more than is read.
    play_one(Kind::Unreached, 9.0, 10);
    play_one(Kind::Lost, 0.1, 10);
    play_one(Kind::Unreadable, 0.1, 10);
}
