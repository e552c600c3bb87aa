//! What replicas write for each other and find of each other.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use flamegate_control::domain::error::Error;
use flamegate_control::domain::replicas::{
    ALIVE, Line, MOST_SEEN_AT_ONCE, Publication, Published, SharedGateway, Sight,
};
use flamegate_control::domain::throttles::Attempts;

use flamegate_control::store::Purpose;
use tokio::sync::{mpsc, watch};

use crate::fixtures::{Database, at, postgres};

fn says(replica: &str, beat: u64) -> Publication {
    Publication {
        replica: replica.to_owned(),
        version: "1.2.3".to_owned(),
        started_at: at(1),
        beat,
        head: 7,
        polls: 3,
        instead_of: None,
        rests_on: Vec::new(),
        gateways: Vec::new(),
    }
}

fn gateway(id: &str, session: u8) -> SharedGateway {
    SharedGateway {
        accepts: flamegate::contract::protocol::Protocol::Two,
        shadow: Some(false),
        id: id.to_owned(),
        session: Some([session; 32]),
        version: Some("9.9.9".to_owned()),
        keeper: None,
        beat: 0,
        has_table: true,
        acknowledged: Some(5),
        acknowledged_ago: Duration::from_secs(2),
        expected_for: Duration::from_secs(60),
        stale: false,
        workers: Some(4),
        other_database: false,
        leaving_for: Duration::ZERO,
        forgotten: false,
        first_seen: at(2),
        last_seen: at(3),
    }
}

fn takes(gateway: SharedGateway) -> Line {
    Line { gateway, takes: true, is_new: true, vanishes: false }
}

fn keeps(keeper: &str, gateway: SharedGateway) -> Line {
    Line {
        gateway: SharedGateway { keeper: Some(keeper.to_owned()), ..gateway },
        takes: false,
        is_new: false,
        vanishes: false,
    }
}

async fn publish(database: &Database, said: Publication) -> Published {
    database.write(move |tx| Box::pin(async move { tx.publish(&said).await })).await.value
}

async fn look(database: &Database, me: &str, seen: &[(&str, u64)], ids: &[&str]) -> Sight {
    let seen: HashMap<_, _> = seen.iter().map(|(id, beat)| ((*id).to_owned(), *beat)).collect();
    let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
    database.store.read().await.unwrap().look(me, &seen, &ids).await.unwrap()
}

fn ids(sight: &Sight) -> Vec<&str> {
    let mut ids: Vec<_> = sight.gateways.iter().map(|gateway| gateway.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

fn done(was_alive: bool, lost: &[&str]) -> Published {
    Published::Done { was_alive, lost: lost.iter().map(|id| (*id).to_owned()).collect() }
}

pub async fn what_a_replica_says_the_others_find(database: Database) {
    let said = Publication { gateways: vec![takes(gateway("eu/a", 1))], ..says("r_a", 1) };
    assert_eq!(publish(&database, said).await, done(false, &[]));
    assert_eq!(
        publish(&database, Publication { head: 9, polls: 4, ..says("r_a", 2) }).await,
        done(true, &[])
    );
    let sight = look(&database, "r_b", &[], &[]).await;
    let [replica] = &sight.replicas[..] else { panic!("{sight:?}") };
    assert!(replica.is_alive() && replica.age < ALIVE);
    assert_eq!((replica.head, replica.polls, replica.beat, replica.started_at), (9, 4, 2, at(1)));
    let [found] = &sight.gateways[..] else { panic!("{sight:?}") };
    assert!(
        found.acknowledged_ago >= Duration::from_secs(2) && found.expected_for <= Duration::from_secs(60)
    );
    assert!(!found.expected_for.is_zero());
    let expected = SharedGateway {
        keeper: Some("r_a".to_owned()),
        beat: 1,
        acknowledged_ago: found.acknowledged_ago,
        expected_for: found.expected_for,
        ..gateway("eu/a", 1)
    };
    assert_eq!(*found, expected);
    assert!(look(&database, "r_a", &[], &[]).await.gateways.is_empty(), "its own are no news");
}

pub async fn only_the_next_count_of_a_replica_is_written(database: Database) {
    for beat in 1..=3 {
        publish(&database, says("r_a", beat)).await;
    }
    let line = takes(gateway("eu/a", 1));
    // Also the first count: who never heard that it was written says it again, and then begins under another id.
    for beat in [1, 2, 3, 5] {
        let said = Publication { gateways: vec![line.clone()], ..says("r_a", beat) };
        assert_eq!(publish(&database, said).await, Published::Superseded);
    }
    assert_eq!(publish(&database, says("r_b", 2)).await, Published::Superseded, "never began");
    assert!(look(&database, "r_b", &[], &[]).await.gateways.is_empty());
    assert_eq!(publish(&database, says("r_a", 4)).await, done(true, &[]));
    // Whatever the clock says of who wrote: it is there by the database's.
    let long_ago = jiff::Timestamp::from_second(1).unwrap();
    for beat in [1, 2] {
        publish(&database, Publication { started_at: long_ago, ..says("r_old", beat) }).await;
    }
    let sight = look(&database, "r_b", &[], &[]).await;
    assert!(
        sight.replicas.len() == 2 && sight.replicas.iter().all(|replica| replica.is_alive()),
        "{sight:?}"
    );
}

pub async fn what_rests_on_another_history_is_not_written(database: Database) {
    let workspace = database.workspace("demo").await;
    database.key(&workspace, "a").await;
    let head = database.store.head();
    let line = takes(gateway("eu/a", 1));
    let other = vec![(head.revision, head.tag.clone()), (head.revision, "t_other".to_owned())];
    let said = Publication { rests_on: other, gateways: vec![line.clone()], ..says("r_a", 1) };
    assert_eq!(publish(&database, said).await, Published::OtherHistory);
    assert!(look(&database, "r_b", &[], &[]).await.replicas.is_empty());
    let said =
        Publication { rests_on: vec![(head.revision, head.tag)], gateways: vec![line], ..says("r_a", 1) };
    assert_eq!(publish(&database, said).await, done(false, &[]));
}

pub async fn a_gateway_is_kept_by_who_took_it_last(database: Database) {
    let first = Publication { gateways: vec![takes(gateway("eu/a", 1))], ..says("r_a", 1) };
    publish(&database, first).await;
    let later = SharedGateway { acknowledged: Some(6), ..gateway("eu/a", 1) };
    let kept = Publication { gateways: vec![keeps("r_a", later.clone())], ..says("r_a", 2) };
    assert_eq!(publish(&database, kept).await, done(true, &[]));
    let taken = Publication {
        gateways: vec![takes(SharedGateway { acknowledged: None, ..later.clone() })],
        ..says("r_b", 1)
    };
    assert_eq!(publish(&database, taken).await, done(false, &[]));
    // Late, and of one that is not there.
    let late = Publication {
        gateways: vec![keeps("r_a", later), keeps("r_a", gateway("eu/z", 2))],
        ..says("r_a", 3)
    };
    assert_eq!(publish(&database, late).await, done(true, &["eu/a", "eu/z"]));
    let sight = look(&database, "r_c", &[], &[]).await;
    assert_eq!((ids(&sight), sight.gateways[0].keeper.as_deref()), (vec!["eu/a"], Some("r_b")));
    assert_eq!(sight.gateways[0].acknowledged, None);
}

pub async fn an_id_is_one_session_until_it_is_forgotten(database: Database) {
    let old = SharedGateway { session: None, ..gateway("eu/old", 1) };
    let said = Publication { gateways: vec![takes(gateway("eu/a", 1)), takes(old)], ..says("r_a", 1) };
    publish(&database, said).await;
    let other = vec![takes(gateway("eu/a", 2)), takes(gateway("eu/old", 2))];
    assert_eq!(
        publish(&database, Publication { gateways: other, ..says("r_b", 1) }).await,
        done(false, &["eu/a"])
    );
    let forgotten = SharedGateway { forgotten: true, ..gateway("eu/a", 1) };
    let said = Publication { gateways: vec![keeps("r_a", forgotten)], ..says("r_a", 2) };
    assert_eq!(publish(&database, said).await, done(true, &[]));
    assert!(look(&database, "r_b", &[("r_a", 1)], &[]).await.gateways[0].forgotten);
    let said = Publication { gateways: vec![takes(gateway("eu/a", 2))], ..says("r_b", 2) };
    assert_eq!(publish(&database, said).await, done(true, &[]));
}

pub async fn who_is_forgotten_and_back_in_one_write_is_there(database: Database) {
    let said = Publication { gateways: vec![takes(gateway("eu/a", 1))], ..says("r_a", 1) };
    publish(&database, said).await;
    let gone = SharedGateway { forgotten: true, ..gateway("eu/a", 1) };
    let lines = vec![takes(gateway("eu/a", 2)), keeps("r_a", gone)];
    let said = Publication { gateways: lines, ..says("r_a", 2) };
    assert_eq!(publish(&database, said).await, done(true, &[]));
    let sight = look(&database, "r_b", &[], &[]).await;
    let [row] = &sight.gateways[..] else { panic!("{sight:?}") };
    assert!(!row.forgotten && row.session == Some([2; 32]), "{row:?}");
}

pub async fn a_look_finds_what_is_new_and_what_it_asks_for(database: Database) {
    let line = |id: &str| takes(gateway(id, 1));
    publish(&database, Publication { gateways: vec![line("eu/a")], ..says("r_a", 1) }).await;
    publish(&database, Publication { gateways: vec![line("eu/b")], ..says("r_a", 2) }).await;
    publish(&database, Publication { gateways: vec![line("eu/c")], ..says("r_c", 1) }).await;
    for (seen, asked, found) in [
        (vec![], vec![], vec!["eu/a", "eu/b", "eu/c"]),
        (vec![("r_a", 1), ("r_c", 1)], vec![], vec!["eu/b"]),
        (vec![("r_a", 2)], vec![], vec!["eu/c"]),
        (vec![("r_a", 2), ("r_c", 1)], vec![], vec![]),
        (vec![("r_a", 2), ("r_c", 1)], vec!["eu/a", "eu/z"], vec!["eu/a"]),
    ] {
        let sight = look(&database, "r_b", &seen, &asked).await;
        assert_eq!((ids(&sight), sight.replicas.len()), (found, 2));
    }
}

pub async fn a_look_from_the_beginning_finds_a_bounded_number_and_those_with_a_table(database: Database) {
    let invented = |number: u32| {
        let id = format!("eu/x{number}");
        takes(SharedGateway { has_table: false, last_seen: at(9), ..gateway(&id, 1) })
    };
    let mut gateways: Vec<_> = (0..MOST_SEEN_AT_ONCE).map(invented).collect();
    gateways.push(takes(gateway("eu/serves", 1)));
    // In parts: the server ends a transaction that says nothing for three seconds.
    for (beat, part) in (1..).zip(gateways.chunks(1_000)) {
        publish(&database, Publication { gateways: part.to_vec(), ..says("r_a", beat) }).await;
    }
    let sight = look(&database, "r_b", &[], &["eu/x7"]).await;
    assert_eq!(sight.gateways[0].id, "eu/serves");
    let found: HashSet<_> = sight.gateways.iter().map(|gateway| gateway.id.as_str()).collect();
    let most = usize::try_from(MOST_SEEN_AT_ONCE).unwrap();
    assert!(
        found.contains("eu/x7")
            && found.len() == sight.gateways.len()
            && (most..=most + 1).contains(&found.len())
    );
}

pub async fn who_was_forgotten_is_no_news_from_the_beginning(database: Database) {
    let line = |id: &str| takes(gateway(id, 1));
    let said = Publication { gateways: vec![line("eu/a"), line("eu/b")], ..says("r_a", 1) };
    publish(&database, said).await;
    let forgotten = SharedGateway { forgotten: true, ..gateway("eu/a", 1) };
    publish(&database, Publication { gateways: vec![keeps("r_a", forgotten)], ..says("r_a", 2) }).await;
    assert_eq!(ids(&look(&database, "r_b", &[], &[]).await), ["eu/b"]);
    let sight = look(&database, "r_b", &[], &["eu/a"]).await;
    assert_eq!(ids(&sight), ["eu/a", "eu/b"], "who asks for it has it");
    assert_eq!(ids(&look(&database, "r_b", &[("r_a", 1)], &[]).await), ["eu/a"]);
}

pub async fn who_ends_is_there_no_more_and_its_rows_are(database: Database) {
    publish(&database, Publication { gateways: vec![takes(gateway("eu/a", 1))], ..says("r_a", 1) }).await;
    publish(&database, says("r_b", 1)).await;
    database.write(|tx| Box::pin(async move { tx.remove_replica("r_a").await })).await;
    database.write(|tx| Box::pin(async move { tx.forget_dead_replicas().await })).await;
    let sight = look(&database, "r_b", &[], &[]).await;
    let alive: Vec<_> =
        sight.replicas.iter().map(|replica| (replica.id.as_str(), replica.is_alive())).collect();
    assert_eq!(alive, [("r_a", false), ("r_b", true)]);
    assert_eq!(ids(&sight), ["eu/a"]);
    assert_eq!(
        publish(&database, says("r_a", 2)).await,
        done(false, &[]),
        "it was frozen, and others took it for dead"
    );
    let again = Publication { instead_of: Some("r_b".to_owned()), ..says("r_b2", 1) };
    assert_eq!(publish(&database, again).await, done(false, &[]));
    let sight = look(&database, "r_a", &[], &[]).await;
    assert!(sight.replicas.iter().any(|replica| replica.id == "r_b" && !replica.is_alive()));
}

pub async fn attempts_at_several_replicas_add_up(database: Database) {
    let attempts = |subject: &str, anew, more_ms| Attempts { subject: subject.to_owned(), anew, more_ms };
    let add = async |all: Vec<Attempts>| {
        let busy = database.write(move |tx| Box::pin(async move { tx.add_attempts(&all).await })).await.value;
        busy.into_iter().collect::<HashMap<_, _>>()
    };
    let (minute, most) = (60_000, |minutes: u64| Duration::from_secs(60 * minutes));
    let busy = add(vec![attempts("a", false, minute), attempts("b", false, minute)]).await;
    assert!(busy["a"] <= most(1) && busy["a"] > Duration::ZERO && busy.len() == 2, "{busy:?}");
    let busy = add(vec![attempts("a", false, 2 * minute)]).await;
    assert!(busy["a"] <= most(3) && busy["a"] > most(2), "{busy:?}");
    let busy = add(vec![attempts("a", false, -minute), attempts("b", true, 3 * minute)]).await;
    assert!(
        busy["a"] <= most(2) && busy["a"] > most(1) && busy["b"] <= most(3) && busy["b"] > most(2),
        "{busy:?}"
    );
    let busy = add(vec![attempts("a", true, 0)]).await;
    assert_eq!(busy["a"], Duration::ZERO);
    database.write(|tx| Box::pin(async move { tx.forget_attempts(10).await })).await;
    let busy = add(vec![attempts("b", false, 0), attempts("a", false, 10)]).await;
    assert!(busy["b"] > most(2), "who is at rest is forgotten, and nobody else");
}

pub async fn attempts_are_noted_in_one_order_whatever_is_forgiven(database: Database) {
    // Each forgives what the other one adds to.
    let all = |mine: bool| -> Vec<Attempts> {
        let one = |number: u32| Attempts {
            subject: format!("s{number:04}"),
            anew: number.is_multiple_of(2) == mine,
            more_ms: 1_000,
        };
        (0..400).map(one).collect()
    };
    let note = async |mine| {
        for _ in 0..30 {
            let attempts = all(mine);
            let noted =
                database.store.note(move |tx| Box::pin(async move { tx.add_attempts(&attempts).await }));
            assert_eq!(noted.await.unwrap().len(), 400);
            database.store.note(|tx| Box::pin(async move { tx.forget_attempts(300).await })).await.unwrap();
        }
    };
    tokio::join!(note(true), note(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_replicas_tell_each_other_waits_for_nothing_else_that_is_noted() {
    let database = postgres().await;
    let (began, mut begins) = mpsc::channel(4);
    let (over, is_over) = watch::channel(false);
    let slow = (0..2).map(|_| {
        let (store, began, mut is_over) = (database.store.clone(), began.clone(), is_over.clone());
        tokio::spawn(async move {
            let work = store.note(move |tx| {
                Box::pin(async move {
                    tx.add_attempts(&[]).await?;
                    began.send(()).await.unwrap();
                    is_over.wait_for(|over| *over).await.map(drop).map_err(Error::internal)
                })
            });
            // The server may have ended it.
            let _ = work.await;
        })
    });
    let slow: Vec<_> = slow.collect();
    for _ in &slow {
        begins.recv().await.unwrap();
    }
    let said = says("r_a", 1);
    let exchange = database.store.reading_for(Purpose::Replicas);
    let told = exchange.note(move |tx| Box::pin(async move { tx.publish(&said).await }));
    assert_eq!(told.await.unwrap(), done(false, &[]));
    over.send_replace(true);
    for one in slow {
        one.await.unwrap();
    }
}

pub async fn who_was_pushed_out_has_no_row_unless_somebody_else_keeps_it(database: Database) {
    let line = |id| takes(gateway(id, 1));
    let new = SharedGateway { has_table: false, acknowledged: None, ..gateway("eu/new", 1) };
    let said = vec![line("eu/gone"), line("eu/moved"), takes(new.clone()), line("eu/back")];
    publish(&database, Publication { gateways: said, ..says("r_a", 1) }).await;
    publish(&database, Publication { gateways: vec![line("eu/moved")], ..says("r_b", 1) }).await;
    let pushed_out = |gateway: SharedGateway| {
        Line::forgotten(SharedGateway { keeper: Some("r_a".to_owned()), ..gateway }, true)
    };
    // By the time it was pushed out for want of a table, it had one.
    let table = SharedGateway { has_table: true, ..new.clone() };
    publish(&database, Publication { gateways: vec![keeps("r_a", table)], ..says("r_a", 2) }).await;
    let mut said: Vec<_> = ["eu/gone", "eu/moved", "eu/back"].map(|id| pushed_out(gateway(id, 1))).into();
    said.extend([pushed_out(new), line("eu/back")]);
    let what = publish(&database, Publication { gateways: said, ..says("r_a", 3) }).await;
    let Published::Done { was_alive: true, mut lost } = what else { panic!("{what:?}") };
    lost.sort_unstable();
    assert_eq!(lost, ["eu/moved", "eu/new"], "these have rows");
    let sight = look(&database, "r_c", &[], &[]).await;
    assert_eq!(ids(&sight), ["eu/back", "eu/moved", "eu/new"]);
}
