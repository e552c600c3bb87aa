//! Several servers on one database, some of them behind a pooler that gives a connection away after each transaction.

use std::thread;

use flamegate_engines::PgBouncer;

use crate::common::gateway::Gateway;
use crate::common::program::Program;
use crate::{SERVER, fill, name, new_database, revoke, serve, serve_with};

/// A gateway that polls one server and waits there.
fn gateway(program: &Program) -> Gateway {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Gateway::at(http, program.url.clone(), "gw-1")
}

/// Revokes a key at one server, and waits until a gateway of the other one has lost it, whose poll is held.
async fn reaches(from: &Program, to: &Program) {
    let made =
        from.cli(&["keys", "create", "--workspace", "demo", "--name", "Soon gone", "--environment", "live"]);
    let id = made["id"].as_str().unwrap().to_owned();
    let mut gateway = gateway(to);
    while !gateway.ids().contains(&id.as_str()) {
        gateway.poll().await.unwrap();
    }
    gateway.query.wait = 25;
    let held = tokio::spawn(async move {
        while gateway.ids().contains(&id.as_str()) {
            gateway.poll().await.unwrap();
        }
    });
    revoke(from, made["id"].as_str().unwrap());
    held.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_at_one_server_reaches_gateways_of_every_other_one() {
    let url = new_database();
    let pooler = PgBouncer::start(SERVER.port, 2);
    let pooled = pooler.url(name(&url));
    let direct = serve(&url);
    fill(&direct);
    let by_polling = serve_with(&pooled, &[("FLAMEGATE_DATABASE_DIRECT", "none")]);
    let with_notices = serve_with(&pooled, &[("FLAMEGATE_DATABASE_DIRECT", &url)]);
    reaches(&direct, &by_polling).await;
    reaches(&by_polling, &with_notices).await;
    reaches(&with_notices, &direct).await;
}

#[test]
fn writes_of_several_servers_come_one_after_the_other_and_none_is_lost() {
    let url = new_database();
    let pooler = PgBouncer::start(SERVER.port, 3);
    let programs =
        [serve(&url), serve_with(&pooler.url(name(&url)), &[("FLAMEGATE_DATABASE_DIRECT", "none")])];
    programs[0].cli(&["workspaces", "create", "--name", "Demo", "--max-active-keys", "10"]);
    thread::scope(|scope| {
        for (number, program) in programs.iter().cycle().take(4).enumerate() {
            scope.spawn(move || {
                for key in 0..4 {
                    let name = format!("{number}-{key}");
                    let line =
                        ["keys", "create", "--workspace", "demo", "--name", &name, "--environment", "live"];
                    crate::common::program::command(&program.url, &line).output().unwrap();
                }
            });
        }
    });
    // Of sixteen, a quota of ten lets ten pass, whoever was asked.
    assert_eq!(
        SERVER.sql(name(&url), "SELECT count(*), count(DISTINCT revision), max(revision) FROM api_keys"),
        "10|10|10"
    );
    assert_eq!(SERVER.sql(name(&url), "SELECT count(*) FROM revision_tags WHERE revision > 0"), "10");
}
