//! PgBouncer in transaction mode between the control planes and PostgreSQL: by polling alone, and with a direct address for what wakes.

use std::process::{Command, Stdio};

use flamegate_engines::{Database, Link, Passage, PgBouncer};
use serde_json::json;

use super::blocking;
use super::common::fleet::{Fleet, client, serve};
use super::common::program::PROGRAM;
use super::common::{ADMIN, SYNC};

const GATEWAYS: usize = 2;

/// Two control planes behind one pooler, which has fewer sessions than they would like.
async fn behind_pooler(
    more: impl Fn(&Database) -> Vec<(&'static str, String)>,
) -> (Database, Link, PgBouncer, Fleet) {
    let database = blocking(|| Database::start(1, None));
    let way = Link::to(database.primary.port);
    let pooler = blocking(|| PgBouncer::start(way.port, 4));
    let more = more(&database);
    let more: Vec<_> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let url = pooler.url(&database.name);
    let programs = vec![serve(&url, true, &more), serve(&url, false, &more)];
    let fleet = Fleet { http: client(), programs };
    fleet.post(0, "/v1/workspaces", json!({"name": "Demo", "max_active_keys": null})).await.expect(201);
    (database, way, pooler, fleet)
}

async fn changes_reach_every_gateway(fleet: &Fleet) {
    let gateways: Vec<_> = (0..GATEWAYS).map(|number| fleet.follower(&format!("gw-{number}"))).collect();
    for _ in 0..5 {
        for number in 0..2 {
            let key = fleet.create(number).await;
            fleet.each(&gateways, "knows the new key", |gateway| gateway.has(&key)).await;
            fleet.try_revoke(1 - number, &key, "0s").await.unwrap().expect(200);
            fleet.each(&gateways, "has it no more", |gateway| !gateway.has(&key)).await;
        }
    }
    fleet.all_enforce(0, GATEWAYS).await;
    fleet.all_enforce(1, GATEWAYS).await;
    for gateway in &gateways {
        let seen = gateway.seen();
        assert_eq!((seen.resets, seen.failed), (1, 0), "{}: {}", gateway.name, seen.last_error);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_polling_alone_everything_works_behind_a_pooler() {
    let (_database, way, _pooler, fleet) =
        behind_pooler(|_| vec![("FLAMEGATE_DATABASE_DIRECT", "none".to_owned())]).await;
    changes_reach_every_gateway(&fleet).await;
    // It lets its clients wait for two minutes when the server is away; they do not.
    way.set(Passage::Cut);
    for number in 0..2 {
        fleet.try_create(number).await.expect("an answer in bounded time").refused(503, "UNAVAILABLE");
    }
    way.set(Passage::Open);
    fleet.recovers(0).await;
    fleet.recovers(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_direct_address_notifications_pass_by_the_pooler() {
    let direct = |database: &Database| vec![("FLAMEGATE_DATABASE_DIRECT", database.url(0))];
    let (database, _way, _pooler, fleet) = behind_pooler(direct).await;
    changes_reach_every_gateway(&fleet).await;
    let listening = database.sql("SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%'");
    assert_eq!(listening, "2", "each listens past the pooler");
}

/// Whoever does not say that there is one is told so, at the start or as soon as it shows.
#[test]
fn a_pooler_that_nobody_told_of_is_named() {
    let database = Database::start(1, None);
    let pooler = PgBouncer::start(database.primary.port, 4);
    let folder = tempfile::tempdir().unwrap();
    let mut programs = Vec::new();
    let named = || {
        let logs = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|log| std::fs::read_to_string(log.unwrap().path()).unwrap());
        let logs = logs.collect::<String>();
        if logs.contains("set FLAMEGATE_DATABASE_DIRECT") { Ok(()) } else { Err(logs) }
    };
    // Each takes names that another one has taken on the same connection of the pooler's.
    for number in 0..4 {
        let log = std::fs::File::create(folder.path().join(format!("{number}.log"))).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args([
            "serve",
            "--init",
            "--listen",
            "127.0.0.1:0",
            "--database",
            &pooler.url(&database.name),
        ]);
        command.env_clear().env("FLAMEGATE_ADMIN_TOKEN", ADMIN).env("FLAMEGATE_SYNC_TOKEN", SYNC);
        programs.push(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }
    let found = std::panic::catch_unwind(|| flamegate_engines::eventually("the setting is named", named));
    for mut program in programs {
        drop((program.kill(), program.wait()));
    }
    found.unwrap();
}
