//! The primary is killed and its standby takes over: with everything that was acknowledged when it was synchronous, without the last commits
//! when it was not. `FLAMEGATE_FAILOVERS` says how often the first happens (`make failover`: 50).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flamegate_engines::{Passage, Replication};

use super::blocking;
use super::common::PATIENCE;
use super::common::fleet::Fleet;
use super::common::follower::Follower;
use super::common::gateway::Gateway;

/// What one control plane was asked to do, and has acknowledged.
#[derive(Default)]
struct Acknowledged {
    made: BTreeSet<String>,
    revoked: BTreeSet<String>,
    /// Nobody knows whether these were revoked.
    asked: BTreeSet<String>,
}

/// Makes keys and revokes every second one until it is told to end, whatever the answers are.
async fn write(fleet: Arc<Fleet>, number: usize, over: Arc<AtomicBool>) -> Acknowledged {
    let mut all = Acknowledged::default();
    while !over.load(Ordering::SeqCst) {
        let Ok(answer) = fleet.try_create(number).await else { continue };
        if answer.status != 201 {
            answer.refused(503, "UNAVAILABLE");
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let id = answer.expect(201)["id"].as_str().unwrap().to_owned();
        if all.made.len().is_multiple_of(2) {
            all.asked.insert(id.clone());
            if let Ok(answer) = fleet.try_revoke(number, &id, "0s").await
                && answer.status == 200
            {
                all.revoked.insert(id.clone());
            }
        }
        all.made.insert(id);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_standby_has_everything_that_was_acknowledged() {
    let kills: u64 =
        std::env::var("FLAMEGATE_FAILOVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let (mut database, fleet) = Fleet::start(2, Some(Replication::Synchronous)).await;
    let fleet = Arc::new(fleet);
    let gateways: Vec<_> = (0..3).map(|number| fleet.follower(&format!("gw-{number}"))).collect();
    fleet.all_enforce(0, gateways.len()).await;
    let (mut made, mut revoked) = (0, 0);
    for kill in 0..kills {
        let over = Arc::new(AtomicBool::new(false));
        let writers =
            [0, 1, 0, 1].map(|number| tokio::spawn(write(Arc::clone(&fleet), number, Arc::clone(&over))));
        // The kill comes at any moment of a write.
        tokio::time::sleep(Duration::from_millis(200 + kill % 7 * 31)).await;
        blocking(|| database.fail_over());
        fleet.recovers(0).await;
        fleet.recovers(1).await;
        over.store(true, Ordering::SeqCst);
        for writer in writers {
            let all = writer.await.unwrap();
            verify(&fleet, &gateways, &all).await;
            made += all.made.len();
            revoked += all.revoked.len();
        }
        blocking(|| database.follow());
    }
    println!("{kills} kills: {made} creates and {revoked} revokes acknowledged, none lost");
    assert_never_sent_again(&gateways);
    fleet.all_enforce(0, gateways.len()).await;
}

/// Every change that was acknowledged is there, at both control planes and at every gateway.
async fn verify(fleet: &Fleet, gateways: &[Follower], all: &Acknowledged) {
    for id in &all.made {
        let status = fleet.get(0, &format!("/v1/api-keys/{id}")).await.expect(200)["status"].clone();
        let wanted = if all.revoked.contains(id) { "revoked" } else { "active" };
        assert!(status == wanted || all.asked.contains(id), "{id} is {status} and not {wanted}");
    }
    let kept: Vec<_> = all.made.difference(&all.asked).collect();
    fleet
        .each(gateways, "knows every key that was made", |gateway| kept.iter().all(|id| gateway.has(id)))
        .await;
    let gone = |gateway: &Follower| all.revoked.iter().all(|id| !gateway.has(id));
    fleet.each(gateways, "has no key that was revoked", gone).await;
}

fn assert_never_sent_again(gateways: &[Follower]) {
    for gateway in gateways {
        let seen = gateway.seen();
        assert_eq!((seen.resets, seen.epochs.len()), (1, 1), "{} was sent its table again", gateway.name);
        assert!(seen.risen.is_empty(), "{:?}", seen.risen);
    }
}

/// Commits wait for the standby: nothing is acknowledged that it does not have, and reading goes on.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_synchronous_standby_the_primary_takes_no_changes() {
    let (database, fleet) = Fleet::start(2, Some(Replication::Synchronous)).await;
    let gateway = fleet.follower("gw");
    let known = fleet.create(0).await;
    fleet.all_enforce(1, 1).await;
    let standby = database.standby.as_ref().unwrap();
    standby.link.set(Passage::Cut);
    let (first, second) = tokio::join!(fleet.try_create(0), fleet.try_create(1));
    for answer in [first, second] {
        answer.expect("an answer in bounded time").refused(503, "UNAVAILABLE");
    }
    fleet.get(1, &format!("/v1/api-keys/{known}")).await.expect(200);
    assert!(gateway.has(&known));
    standby.link.set(Passage::Open);
    fleet.recovers(0).await;
    fleet.all_enforce(1, 1).await;
    assert_never_sent_again(&[gateway]);
}

/// The gateways that had seen what is lost start over, the others do not, and none takes it for another database.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_lacks_commits_sends_its_table_to_those_who_had_seen_them() {
    let (mut database, fleet) = Fleet::start(2, Some(Replication::Asynchronous)).await;
    let gateway = |name| Gateway::at(fleet.http.clone(), fleet.programs[0].url.clone(), name);
    let (mut ahead, mut behind) = (gateway("ahead"), gateway("behind"));
    let kept = fleet.create(0).await;
    for gateway in [&mut ahead, &mut behind] {
        has(gateway, &kept, true).await;
    }
    let epoch = ahead.query.epoch.clone();
    let standby = database.standby.as_ref().unwrap();
    let both = blocking(|| database.sql("SELECT revision FROM revision_log"));
    flamegate_engines::eventually("the standby has it all", || {
        let there = standby.cluster.ask(&database.name, "SELECT revision FROM revision_log")?;
        if there == both { Ok(()) } else { Err(there) }
    });
    blocking(|| standby.link.set(Passage::Cut));
    // These will never have happened.
    let lost = fleet.create(0).await;
    fleet.try_revoke(1, &kept, "0s").await.unwrap().expect(200);
    has(&mut ahead, &lost, true).await;
    has(&mut ahead, &kept, false).await;
    blocking(|| database.fail_over());
    let after = fleet.recovers(1).await;
    fleet.recovers(0).await;

    for (number, gateway) in [(0, &mut ahead), (1, &mut behind)] {
        gateway.move_to(&fleet.programs[number].url);
        has(gateway, &after, true).await;
        has(gateway, &kept, true).await;
        has(gateway, &lost, false).await;
        assert_eq!(gateway.query.epoch, epoch, "no other database");
    }
    assert_eq!(ahead.resets, 2, "had seen what is lost");
    assert_eq!(behind.resets, 1, "had not");
    let answer = fleet.get(0, &format!("/v1/api-keys/{lost}")).await;
    answer.refused(404, "NOT_FOUND");
}

/// Polls until the gateway has the key, or has it no more.
async fn has(gateway: &mut Gateway, id: &str, wanted: bool) {
    let work = async {
        while gateway.ids().contains(&id) != wanted || gateway.query.epoch.is_none() {
            if gateway.poll().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{id} {wanted}"));
}
