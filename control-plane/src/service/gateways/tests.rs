//! What a thief of a token can do to the registry: squat names, forge acknowledgements, fill it.

use std::time::Duration;

use tokio::sync::watch;

use super::hello::MARGIN;
use super::registry::MAX_GATEWAYS;
use crate::contract::Protocol;
use crate::domain::audit::Actor;
use crate::domain::credentials::Credential;
use crate::domain::gateways::Receipt;
use crate::domain::log::Head;
use crate::service::clock::Clock;
use crate::service::gateways::*;
use crate::store::Store;

const WAIT: Duration = Duration::from_secs(25);

/// A poll of `name` under a credential, from the process with this session (0 is none).
fn hello(credential: &str, name: &str, session: u8) -> Hello {
    Hello {
        accepts: Protocol::Two,
        shadow: Some(false),
        credential: Credential::named(credential),
        name: name.to_owned(),
        session: (session > 0).then_some([session; 32]),
        version: None,
        wait: WAIT,
        stale: false,
        workers: None,
    }
}

/// Where the log stands; with one control plane nothing rests on it.
fn head() -> Head {
    Head { epoch: "e".to_owned(), revision: 1, tag: "t".to_owned() }
}

/// A poll that is answered.
fn poll(gateways: &Gateways, hello: Hello, acknowledges: u64) {
    let poll = gateways.begin(hello);
    poll.acknowledges(Some(acknowledges), &head());
    poll.finish();
}

async fn receipt(gateways: &Gateways, revision: u64) -> Receipt {
    let (_, shutdown) = watch::channel(false);
    gateways.receipt(revision, None, Duration::ZERO, shutdown).await
}

fn ids(gateways: &Gateways) -> Vec<String> {
    gateways.list().into_iter().map(|gateway| gateway.id).collect()
}

#[tokio::test]
async fn a_forged_acknowledgement_never_counts_for_a_frozen_gateway() {
    let clock = Clock::default();
    let gateways = Gateways::new(clock.clone());
    for gateway in 1..=5 {
        poll(&gateways, hello("shared", &format!("gw-{gateway}"), gateway), 1);
    }
    // The fifth is frozen. The thief has the token and polls under all names, with a session of its own and without.
    for gateway in 1..=4 {
        poll(&gateways, hello("shared", &format!("gw-{gateway}"), gateway), 2);
    }
    for gateway in 1..=5 {
        poll(&gateways, hello("shared", &format!("gw-{gateway}"), 99), 2);
        poll(&gateways, hello("shared", &format!("gw-{gateway}"), 0), 2);
    }
    let told = receipt(&gateways, 2).await;
    assert_eq!(told.pending(), ["shared/gw-5"]);
    assert!(!told.is_confirmed());
    // When it is not expected any more, nobody takes its place either.
    clock.advance(WAIT * 2 + MARGIN);
    poll(&gateways, hello("shared", "gw-5", 99), 2);
    poll(&gateways, hello("shared", "gw-5", 0), 2);
    let told = receipt(&gateways, 2).await;
    assert_eq!(told.cut_off, ["shared/gw-5"]);
    assert!(!told.is_confirmed());
}

#[test]
fn who_comes_under_a_tied_name_is_another_gateway_with_an_id_of_its_own() {
    let gateways = Gateways::new(Clock::default());
    poll(&gateways, hello("shared", "gw", 1), 5);
    for _ in 0..2 {
        poll(&gateways, hello("shared", "gw", 2), 9);
        poll(&gateways, hello("shared", "gw", 0), 9);
        poll(&gateways, hello("eu", "gw", 1), 9);
    }
    let sessions: Vec<_> = gateways.list().into_iter().map(|one| (one.id, one.has_session)).collect();
    let expected =
        [("eu/gw", true), ("shared/gw", true), ("shared/gw~0202", true), ("shared/gw~none", false)];
    assert_eq!(sessions, expected.map(|(id, has)| (id.to_owned(), has)));
    let tied = gateways.list().into_iter().find(|one| one.id == "shared/gw").unwrap();
    assert_eq!(tied.acknowledged, Some(5), "nobody else has moved it");
}

#[test]
fn four_digits_that_are_taken_become_more() {
    let gateways = Gateways::new(Clock::default());
    poll(&gateways, hello("shared", "gw", 1), 1);
    let alike = |last: u8| {
        let mut session = [7; 32];
        session[31] = last;
        Hello { session: Some(session), ..hello("shared", "gw", 1) }
    };
    for last in [1, 2, 3, 1, 2, 3] {
        poll(&gateways, alike(last), u64::from(last));
    }
    let known: Vec<_> = gateways.list().into_iter().map(|one| (one.id.len(), one.acknowledged)).collect();
    // `shared/gw`, and behind it `~` with 4, 16 and 64 digits.
    assert_eq!(known, [(9, Some(1)), (14, Some(1)), (26, Some(2)), (74, Some(3))]);
}

#[tokio::test]
async fn a_filter_that_is_updated_in_place_ties_the_name_that_it_had() {
    let gateways = Gateways::new(Clock::default());
    poll(&gateways, hello("shared", "gw", 0), 3);
    assert!(receipt(&gateways, 3).await.is_confirmed(), "as ever, under the shared token");
    assert!(!gateways.list()[0].has_session);
    poll(&gateways, hello("shared", "gw", 1), 4);
    assert_eq!(ids(&gateways), ["shared/gw"]);
    assert!(gateways.list()[0].has_session);
}

#[tokio::test]
async fn without_a_session_nobody_acknowledges_under_a_named_credential() {
    let gateways = Gateways::new(Clock::default());
    poll(&gateways, hello("eu", "gw", 0), 3);
    assert_eq!(receipt(&gateways, 1).await.pending(), ["eu/gw"]);
    poll(&gateways, hello("eu", "gw", 1), 3);
    assert!(receipt(&gateways, 1).await.is_confirmed());
}

#[tokio::test]
async fn a_newer_poll_ends_the_older_one_of_the_same_process_and_of_nobody_else() {
    let gateways = Gateways::new(Clock::default());
    let (first, other) = (gateways.begin(hello("shared", "gw", 1)), gateways.begin(hello("shared", "gw", 2)));
    let second = gateways.begin(hello("shared", "gw", 1));
    first.is_over().await;
    drop(first);
    for held in [&other, &second] {
        assert!(at_once(held.is_over()).await.is_none(), "it goes on");
    }
    assert_eq!(gateways.counts(), (2, 2));
    drop((other, second));
}

/// What a future says without waiting.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = std::future::ready(()) => None,
    }
}

#[test]
fn a_full_registry_never_refuses_and_the_one_who_filled_it_makes_room() {
    let clock = Clock::default();
    let gateways = Gateways::new(clock.clone());
    let gone = gateways.begin(hello("eu", "gone", 1));
    gone.acknowledges(Some(1), &head());
    gone.finish();
    clock.advance(Duration::from_secs(3_600));
    let held: Vec<_> = (0..100).map(|n| gateways.begin(hello("shared", &format!("real-{n}"), 1))).collect();
    // Each is connected: a poll that was answered counts for a while.
    for n in 0..2 * MAX_GATEWAYS {
        poll(&gateways, hello("stolen", &format!("invented-{n}"), 2), 1);
    }
    assert!(ids(&gateways).len() <= MAX_GATEWAYS);
    let left = ids(&gateways);
    assert!(left.contains(&"eu/gone".to_owned()), "cut off, and still told");
    let real = left.iter().filter(|id| id.starts_with("shared/real-")).count();
    assert_eq!(real, held.len());
    assert!(left.contains(&format!("stolen/invented-{}", 2 * MAX_GATEWAYS - 1)), "the newest is there");
}

#[test]
fn of_one_credential_the_youngest_go_first_and_before_them_who_never_acknowledged() {
    let clock = Clock::default();
    let gateways = Gateways::new(clock.clone());
    poll(&gateways, hello("shared", "long-gone", 1), 1);
    clock.advance(Duration::from_secs(600));
    let held = gateways.begin(hello("shared", "held", 1));
    held.acknowledges(Some(1), &head());
    for n in 3..MAX_GATEWAYS {
        poll(&gateways, hello("shared", &format!("gw-{n}"), 1), 1);
    }
    gateways.begin(hello("shared", "no-table", 1)).finish();
    assert_eq!(gateways.list().len(), MAX_GATEWAYS);
    // Who is held is younger than nobody here, and stays all the same.
    poll(&gateways, hello("shared", "new", 1), 1);
    let left = ids(&gateways);
    for stays in ["long-gone", "held", "new"] {
        assert!(left.contains(&format!("shared/{stays}")), "{stays}");
    }
    assert!(!left.contains(&"shared/no-table".to_owned()));
    drop(held);
}

/// A gateway that has served and is cut off, and then a thief with the same token who fills the registry.
async fn flood(gateways: &Gateways, clock: &Clock, acknowledges: Option<u64>) {
    poll(gateways, hello("shared", "frozen", 1), 1);
    clock.advance(WAIT * 2 + MARGIN);
    for n in 0..MAX_GATEWAYS + 400 {
        let invented = gateways.begin(hello("shared", &format!("invented-{n}"), 2));
        invented.acknowledges(acknowledges, &head());
        invented.finish();
    }
    assert!(ids(gateways).len() <= MAX_GATEWAYS + 1);
    assert!(receipt(gateways, 2).await.cut_off.contains(&"shared/frozen".to_owned()));
}

#[tokio::test]
async fn a_receipt_ends_when_the_time_of_the_last_one_that_it_waits_for_is_over() {
    let clock = Clock::default();
    let gateways = Gateways::new(clock.clone());
    poll(&gateways, hello("eu", "gw", 1), 1);
    let (_up, shutdown) = watch::channel(false);
    let waits = {
        let gateways = gateways.clone();
        tokio::spawn(async move { gateways.receipt(2, None, Duration::from_secs(3_600), shutdown).await })
    };
    tokio::task::yield_now().await;
    clock.advance(WAIT * 2 + MARGIN);
    let told =
        tokio::time::timeout(Duration::from_secs(60), waits).await.expect("not the whole hour").unwrap();
    assert_eq!(told.cut_off, ["eu/gw"]);
}

#[tokio::test]
async fn a_thief_who_fills_the_registry_pushes_out_its_own_inventions() {
    let clock = Clock::default();
    let gateways = Gateways::new(clock.clone());
    flood(&gateways, &clock, None).await;
    assert_eq!(
        receipt(&gateways, 2).await.cut_off,
        ["shared/frozen"],
        "nobody who has served was pushed out"
    );
}

#[tokio::test]
async fn who_was_pushed_out_for_room_is_told_as_one_for_a_day_or_until_an_operator_forgets_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_or_make(&directory.path().join("control.db")).await.unwrap();
    let clock = Clock::default();
    let gateways = Gateways::new(clock.clone());
    flood(&gateways, &clock, Some(2)).await;
    gateways.save(&store).await.unwrap();
    let told = async |gateways: &Gateways| receipt(gateways, 2).await.cut_off;
    assert_eq!(told(&gateways).await, ["shared/frozen", "shared/~pushed-out"]);
    // A restart knows it, too.
    let again = Gateways::load(&store, clock.clone()).await.unwrap();
    assert!(told(&again).await.contains(&"shared/~pushed-out".to_owned()));
    let by = Actor::admin_token(crate::domain::audit::Via::Cli, None);
    again.forget_cut_off("shared", &store, by).await.unwrap();
    assert!(!told(&again).await.contains(&"shared/~pushed-out".to_owned()));
    clock.advance(Duration::from_secs(24 * 3_600 + 60));
    gateways.save(&store).await.unwrap();
    assert_eq!(told(&gateways).await.len(), 0);
}

#[tokio::test]
async fn names_that_never_acknowledged_go_after_minutes_and_the_others_after_a_day() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_or_make(&directory.path().join("control.db")).await.unwrap();
    let clock = Clock::default();
    let gateways = Gateways::new(clock.clone());
    poll(&gateways, hello("shared", "real", 1), 1);
    // It claims a revision that is to come, so it has acknowledged nothing.
    let invented = gateways.begin(hello("shared", "invented", 2));
    invented.acknowledges(None, &head());
    invented.finish();
    gateways.save(&store).await.unwrap();
    clock.advance(Duration::from_secs(301));
    gateways.save(&store).await.unwrap();
    assert_eq!(ids(&gateways), ["shared/real"]);
    let again = Gateways::load(&store, clock.clone()).await.unwrap();
    assert_eq!(ids(&again), ["shared/real"]);
    clock.advance(Duration::from_secs(24 * 3_600));
    again.save(&store).await.unwrap();
    assert_eq!((ids(&again).len(), Gateways::load(&store, clock).await.unwrap().list().len()), (0, 0));
}

#[tokio::test]
async fn who_acknowledges_first_or_ties_its_name_is_to_be_stored_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_or_make(&directory.path().join("control.db")).await.unwrap();
    let gateways = Gateways::new(Clock::default());
    // What is invented and has no table causes no write.
    gateways.begin(hello("shared", "invented", 2)).finish();
    assert!(at_once(gateways.somebody_is_unsaved()).await.is_none());
    for session in [0, 1] {
        poll(&gateways, hello("shared", "gw", session), 1);
        assert!(at_once(gateways.somebody_is_unsaved()).await.is_some(), "{session}");
        gateways.save(&store).await.unwrap();
        poll(&gateways, hello("shared", "gw", session), 2);
        assert!(at_once(gateways.somebody_is_unsaved()).await.is_none(), "it is stored");
    }
}

#[tokio::test]
async fn a_restart_remembers_whose_name_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_or_make(&directory.path().join("control.db")).await.unwrap();
    let gateways = Gateways::new(Clock::default());
    // Tied after it was stored without a session.
    poll(&gateways, hello("shared", "gw", 0), 1);
    gateways.save(&store).await.unwrap();
    poll(&gateways, hello("shared", "gw", 1), 1);
    gateways.save(&store).await.unwrap();
    let again = Gateways::load(&store, Clock::default()).await.unwrap();
    poll(&again, hello("shared", "gw", 2), 9);
    assert_eq!(ids(&again), ["shared/gw", "shared/gw~0202"]);
    assert_eq!(receipt(&again, 9).await.pending(), ["shared/gw"]);
}

#[tokio::test]
async fn who_is_forgotten_is_not_told_and_who_still_polls_goes_when_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_or_make(&directory.path().join("control.db")).await.unwrap();
    let clock = Clock::default();
    let gateways = Gateways::new(clock.clone());
    let by = || Actor::admin_token(crate::domain::audit::Via::Cli, None);
    poll(&gateways, hello("shared", "gone", 1), 1);
    clock.advance(Duration::from_secs(61));
    poll(&gateways, hello("shared", "going", 1), 1);
    gateways.save(&store).await.unwrap();
    assert_eq!(receipt(&gateways, 2).await.cut_off, ["shared/gone"]);
    assert!(!gateways.forget("shared/gone", &store, by()).await.unwrap().connected);
    assert!(gateways.forget("shared/going", &store, by()).await.unwrap().connected);
    assert!(gateways.forget("shared/nobody", &store, by()).await.is_err());
    let told = receipt(&gateways, 2).await;
    assert_eq!((told.pending(), told.cut_off.len()), (vec!["shared/going".to_owned()], 0), "it still serves");
    poll(&gateways, hello("shared", "going", 1), 1);
    clock.advance(Duration::from_secs(61));
    assert!(receipt(&gateways, 2).await.is_confirmed(), "it is gone, as was said before");
    gateways.save(&store).await.unwrap();
    assert_eq!(ids(&gateways).len() + Gateways::load(&store, clock).await.unwrap().list().len(), 0);
}

#[tokio::test]
async fn who_is_still_there_ten_minutes_after_it_was_to_leave_did_not_leave() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_or_make(&directory.path().join("control.db")).await.unwrap();
    let clock = Clock::default();
    let gateways = Gateways::new(clock.clone());
    poll(&gateways, hello("shared", "stays", 1), 1);
    gateways.save(&store).await.unwrap();
    let by = Actor::admin_token(crate::domain::audit::Via::Cli, None);
    assert!(gateways.forget("shared/stays", &store, by).await.unwrap().leaving);
    clock.advance(Duration::from_secs(600));
    poll(&gateways, hello("shared", "stays", 1), 1);
    assert!(!gateways.list()[0].leaving);
    gateways.save(&store).await.unwrap();
    assert_eq!(
        Gateways::load(&store, clock.clone()).await.unwrap().list().len(),
        1,
        "it is remembered again"
    );
    clock.advance(WAIT * 2 + MARGIN);
    gateways.save(&store).await.unwrap();
    assert_eq!(receipt(&gateways, 2).await.cut_off, ["shared/stays"]);
}

#[tokio::test]
async fn a_gateway_that_comes_back_while_a_receipt_waits_counts() {
    let clock = Clock::default();
    let gateways = Gateways::new(clock.clone());
    poll(&gateways, hello("shared", "away", 1), 1);
    clock.advance(Duration::from_secs(61));
    poll(&gateways, hello("shared", "stuck", 1), 1);
    let (_shutdown, down) = watch::channel(false);
    let waiting = gateways.receipt(2, None, Duration::from_secs(20), down);
    let news = async {
        poll(&gateways, hello("shared", "away", 1), 2);
        poll(&gateways, hello("shared", "stuck", 1), 2);
    };
    let (told, ()) = tokio::join!(waiting, news);
    assert_eq!((told.enforced(), told.is_confirmed()), (2, true));
}
