//! One of several control planes is killed, frozen, or cut off from the database.

use flamegate_engines::{Database, Passage};

use super::common::fleet::Fleet;
use super::common::follower::Follower;

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
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
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
