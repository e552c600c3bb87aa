//! A backup by PostgreSQL's own tools, restored: what gateways make of it, said and unsaid.

use crate::common::gateway::Gateway;
use crate::common::program::{failed, json_of};
use crate::{SERVER, fill, name, new_database, postgres_tool, revoke, serve, tool};

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_restored_is_another_history_for_whoever_saw_more() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (url, again) = (new_database(), new_database());
    let program = serve(&url);
    let kept = fill(&program);
    let gateway = |name: &str| Gateway::at(http.clone(), program.url.clone(), name);
    let (mut early, mut late) = (gateway("early"), gateway("late"));
    early.poll().await.unwrap();
    let dump = folder.path().join("dump");
    let dump = dump.to_str().unwrap();
    postgres_tool("pg_dump", &["--format=custom", "--file", dump, &url]);
    // What the backup does not know.
    revoke(&program, &kept);
    program.cli(&["users", "add", "--email", "ada@example.com", "--workspace", "demo", "--role", "viewer"]);
    late.poll().await.unwrap();
    assert!(late.table.is_empty());
    drop(program);
    assert!(failed(&tool(&["backup", "copy.db"], &url), 1).contains("pg_basebackup"));
    postgres_tool("pg_restore", &["--no-owner", "--dbname", &again, dump]);

    // Nobody says that it was restored: who has seen more starts over, the other one goes on.
    let program = serve(&again);
    for gateway in [&mut early, &mut late] {
        gateway.base = program.url.clone();
        gateway.poll().await.unwrap();
        assert_eq!(gateway.ids(), [kept.as_str()]);
    }
    assert_eq!((early.resets, late.resets), (1, 2));
    drop(program);

    // Said: everybody starts over, and every session has ended.
    SERVER.sql(
        name(&again),
        &format!("INSERT INTO sessions VALUES ('\\x{}', '{{}}', 4000000000)", "00".repeat(32)),
    );
    let epoch = json_of(&tool(&["check", "--json"], &again))["epoch"].clone();
    let restored = json_of(&tool(&["database", "restored", "--lock-users", "--json"], &again));
    assert!(
        restored["epoch"].as_str().unwrap().starts_with("r_") && restored["epoch"] != epoch,
        "{restored}"
    );
    assert_eq!(SERVER.sql(name(&again), "SELECT count(*) FROM sessions"), "0");
    let program = serve(&again);
    early.base = program.url.clone();
    early.poll().await.unwrap();
    assert_eq!((early.ids(), early.resets), (vec![kept.as_str()], 2));
}
