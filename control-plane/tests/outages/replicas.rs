//! One of several control planes is killed, frozen, or cut off from the database.

use std::time::Duration;

use flamegate_engines::{Database, Passage};

use super::common::PATIENCE;
use super::common::fleet::{BOUNDED, Fleet};
use super::common::follower::Follower;
use super::common::gateway::Gateway;

const GATEWAYS: usize = 3;

async fn start() -> (Database, Fleet, Vec<Follower>) {
    let (database, fleet) = Fleet::start(2, None).await;
    let gateways: Vec<_> = (0..GATEWAYS).map(|number| fleet.follower(&format!("gw-{number}"))).collect();
    fleet.all_enforce(0, GATEWAYS).await;
    fleet.all_enforce(1, GATEWAYS).await;
    (database, fleet, gateways)
}

/// Makes a key at one of them, and revokes it there once every gateway has it; all of them learn of both.
async fn change(fleet: &Fleet, gateways: &[Follower], number: usize) {
    let key = fleet.recovers(number).await;
    fleet.each(gateways, "knows the new key", |gateway| gateway.has(&key)).await;
    let receipt = fleet.try_revoke(number, &key, "0s").await.unwrap().expect(200);
    assert!(receipt["enforced"].as_u64() <= Some(GATEWAYS as u64), "{receipt}");
    fleet.each(gateways, "has the key no more", |gateway| !gateway.has(&key)).await;
}

fn assert_nothing_came_back(gateways: &[Follower]) {
    for gateway in gateways {
        let seen = gateway.seen();
        assert!(seen.risen.is_empty(), "{}: keys came back: {:?}", gateway.name, seen.risen);
        assert_eq!((seen.resets, seen.epochs.len()), (1, 1), "{} was sent its table again", gateway.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_of_a_killed_replica_are_the_others() {
    let (_database, fleet, gateways) = start().await;
    fleet.programs[0].signal("-KILL");
    change(&fleet, &gateways, 1).await;
    // A receipt of all of them comes by itself, without the dead one.
    fleet.all_enforce(1, GATEWAYS).await;
    assert_nothing_came_back(&gateways);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_replica_stops_nobody_and_says_nothing_old_afterwards() {
    let (_database, fleet, gateways) = start().await;
    // In the middle of writing, so that it may hold what others wait for.
    let writes = async {
        for _ in 0..20 {
            drop(fleet.try_create(0).await);
        }
    };
    let freeze = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        fleet.programs[0].signal("-STOP");
        change(&fleet, &gateways, 1).await;
        fleet.all_enforce(1, GATEWAYS).await;
        fleet.programs[0].signal("-CONT");
    };
    tokio::join!(writes, freeze);
    change(&fleet, &gateways, 0).await;
    fleet.all_enforce(0, GATEWAYS).await;
    assert_nothing_came_back(&gateways);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_the_database_answers_for_itself_only() {
    let (database, fleet, gateways) = start().await;
    for passage in [Passage::Cut, Passage::Swallowed] {
        database.links[0].set(passage);
        fleet.try_create(0).await.expect("an answer in bounded time").refused(503, "UNAVAILABLE");
        change(&fleet, &gateways, 1).await;
        fleet.all_enforce(1, GATEWAYS).await;
        database.links[0].set(Passage::Open);
        fleet.recovers(0).await;
        fleet.all_enforce(0, GATEWAYS).await;
    }
    assert_nothing_came_back(&gateways);
}

/// It cannot know what is new, so it says nothing: the gateway asks another one, and does not count its table as confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_the_database_holds_no_polls() {
    let (database, fleet) = Fleet::start(2, None).await;
    let key = fleet.create(0).await;
    let mut gateway = Gateway::at(fleet.http.clone(), fleet.programs[0].url.clone(), "gw");
    while !gateway.ids().contains(&key.as_str()) {
        gateway.poll().await.unwrap();
    }
    // Held for longer than anybody waits here.
    gateway.query.wait = 60;
    gateway.patience = BOUNDED;
    database.links[0].set(Passage::Swallowed);
    for what in ["held", "new"] {
        let answer = gateway.request().send().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(answer.status(), 503, "{what}");
    }
    gateway.move_to(&fleet.programs[1].url);
    fleet.try_revoke(1, &key, "0s").await.unwrap().expect(200);
    gateway.poll().await.unwrap();
    assert!(gateway.ids().is_empty(), "the other one knows");

    database.links[0].set(Passage::Open);
    gateway.move_to(&fleet.programs[0].url);
    gateway.query.wait = 0;
    let answers = async {
        while gateway.poll().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answers).await.expect("an answer again");
    assert_eq!(gateway.resets, 1);
}
