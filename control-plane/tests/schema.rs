//! `check` against a schema that somebody changed, what the migration to bounds makes of workspace limits, and how the
//! ceiling comes into records that have been without it.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::program::{Program, failed, json_of, offline, succeeded};
use flamegate::contract::page::Page;
use flamegate::contract::record::KeyRecord;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

/// Adds a trigger under a name that `CREATE TRIGGER` refuses.
fn hidden_trigger(name: &str) -> String {
    format!(
        "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('trigger', '{name}', 'api_keys', 0,
         'CREATE TRIGGER {name} AFTER UPDATE ON api_keys BEGIN UPDATE api_keys SET revoked_at = NULL; END')"
    )
}

async fn execute(database: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(database).create_if_missing(true);
    let mut connection = options.foreign_keys(false).connect().await.unwrap();
    if sql.contains("sqlite_schema") {
        sqlx::raw_sql("PRAGMA writable_schema = ON").execute(&mut connection).await.unwrap();
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn dump(schema: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/schemas/{schema}.sql"));
    fs::read_to_string(path).unwrap()
}

fn tool(args: &[&str], database: &Path) -> Output {
    offline(&[args, &["--database", database.to_str().unwrap()]].concat())
}

fn served(database: &Path) -> Program {
    Program::serve_by(&[], database, &[("FLAMEGATE_LOG", "warn")])
}

fn stop(program: Program) {
    program.signal("-TERM");
    assert_eq!(program.end().0, Some(0));
}

/// A fresh database of today's schema.
fn fresh() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("control.db");
    stop(served(&database));
    (folder, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_what_is_missing_changed_or_more_than_it_should_be() {
    let (folder, database) = fresh();
    succeeded(&tool(&["check"], &database));
    let whole = fs::read(&database).unwrap();
    let copy = folder.path().join("copy.db");
    for (damage, finding) in [
        ("DROP TRIGGER audit_log_no_delete", "trigger audit_log_no_delete is missing"),
        ("DROP TRIGGER audit_log_no_replace", "trigger audit_log_no_replace is missing"),
        (
            "DROP TRIGGER audit_log_no_update; CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log WHEN 0
             BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
            "trigger audit_log_no_update was changed",
        ),
        (
            "CREATE TRIGGER back_door AFTER INSERT ON api_keys BEGIN UPDATE api_keys SET revoked_at = NULL; END",
            "trigger back_door should not be there",
        ),
        ("DROP INDEX api_keys_listed", "index api_keys_listed is missing"),
        ("CREATE INDEX more ON api_keys (name)", "index more should not be there"),
        ("DROP TABLE idempotency_keys", "table idempotency_keys is missing"),
        ("ALTER TABLE users ADD COLUMN more TEXT", "table users was changed"),
        ("CREATE VIEW v AS SELECT hash FROM api_keys", "view v should not be there"),
        // Half of it is a comment only for who does not know what a text is.
        (
            "DROP TRIGGER audit_log_no_update; CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
             BEGIN SELECT RAISE(ABORT, 'the audit log --') WHERE 0; SELECT ('
             is append-only'); END",
            "trigger audit_log_no_update was changed",
        ),
        (r"UPDATE sqlite_schema SET sql = replace(sql, 'audit log', 'audit  log')", "no_delete was changed"),
        // SQLite's own names are no hiding place.
        (&hidden_trigger("sqlite_evil"), "trigger sqlite_evil should not be there"),
        (&hidden_trigger("sqlite_sequence"), "trigger sqlite_sequence should not be there"),
        (&hidden_trigger("sqlite_stat4"), "trigger sqlite_stat4 should not be there"),
        (&hidden_trigger("sqlite_autoindex_users_3"), "trigger sqlite_autoindex_users_3 should not be there"),
    ] {
        fs::write(&database, &whole).unwrap();
        execute(&database, damage).await;
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", database.display()));
        }
        let error = failed(&tool(&["check"], &database), 1);
        assert!(error.contains("is not sound") && error.contains(finding), "{damage}: {error}");
        // Such a file is no good copy, either.
        let error = failed(&tool(&["backup", copy.to_str().unwrap()], &database), 1);
        assert!(error.contains(finding), "{damage}: {error}");
        assert!(!copy.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_that_sqlite_keeps_are_no_change() {
    let (_folder, database) = fresh();
    execute(&database, "ANALYZE").await;
    succeeded(&tool(&["check"], &database));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_an_earlier_schema_is_compared_with_that_schema() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("control.db");
    execute(&database, &dump("0002")).await;
    succeeded(&tool(&["check"], &database));
    execute(&database, "DROP TRIGGER audit_log_no_update").await;
    assert!(failed(&tool(&["check"], &database), 1).contains("trigger audit_log_no_update is missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_an_earlier_schema_is_restored_and_is_sound_afterwards() {
    let (folder, database) = fresh();
    let copy = folder.path().join("copy.db");
    execute(&copy, &dump("0002")).await;
    succeeded(&tool(&["restore", copy.to_str().unwrap(), "--lock-users"], &database));
    succeeded(&tool(&["check"], &database));
    let program = served(&database);
    let users = program.cli(&["users", "list"]);
    assert_eq!((&users[0]["disabled"], &users[0]["operator"]), (&json!(true), &json!(false)));
    stop(program);
}

async fn page(program: &Program, query: &str) -> Page {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/sync/v1/changes?gateway=gw-1&limit=100{query}", program.url);
    let answer = http.get(url).bearer_auth(common::SYNC).send().await.unwrap();
    Page::parse(&answer.bytes().await.unwrap()).unwrap()
}

/// A limit of a workspace that serialises as the program stored it.
fn shared(name: &str, requests: u32, window: u32, burst: Option<u32>) -> Value {
    let mut limit =
        json!({"name": name, "scope": "workspace", "requests": requests, "window_seconds": window});
    if let Some(burst) = burst {
        limit["burst"] = json!(burst);
    }
    limit
}

#[tokio::test(flavor = "multi_thread")]
async fn workspace_limits_of_keys_become_the_workspaces_and_gateways_learn_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("control.db");
    execute(&database, &dump("0002")).await;
    let own = json!({"name": "own", "scope": "key", "requests": 7, "window_seconds": 1});
    let default = json!([own, shared("shared", 100, 60, Some(50))]);
    // A member had written other numbers with a key of theirs, and a revoked key had still others.
    let (loose, revoked) = (json!([shared("shared", 50, 60, None)]), json!([shared("shared", 1, 60, None)]));
    let sql = format!(
        "UPDATE workspaces SET default_limits = '{default}'; UPDATE api_keys SET limits = '{loose}' WHERE seq = 2;
         UPDATE api_keys SET limits = '{revoked}' WHERE seq = 1"
    );
    execute(&database, &sql).await;
    let program = served(&database);
    let demo = program.cli(&["workspaces", "get", "demo"]);
    assert_eq!(demo["workspace_limits"], json!([shared("shared", 50, 60, Some(50))]), "the tightest");
    assert_eq!(demo["default_limits"], json!([own]));
    assert_eq!(
        (&demo["max_active_keys"], &demo["ceiling"]),
        (&json!(null), &json!(null)),
        "nothing else is bounded"
    );
    // A gateway that had everything before gets both keys, as a difference.
    let page = page(&program, "&epoch=e_5m03PiklBU1uNSnkF9S9&after=4").await;
    assert_eq!((page.reset, page.revision, page.upserts.len()), (false, 6, 2));
    let mut limits: Vec<_> = by_id(&page).into_iter().map(|(_, limits)| limits).collect();
    limits.sort();
    assert_eq!(limits, ["own=7/1s,shared=50/60s+50@workspace", "shared=50/60s+50@workspace"]);
    stop(program);
    succeeded(&tool(&["check"], &database));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_workspace_limits_than_a_record_holds_leave_the_tightest_four() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("control.db");
    execute(&database, &dump("0002")).await;
    let list =
        |first: u32| json!([first, first + 1, first + 2].map(|n| shared(&format!("w{n}"), n, 60, None)));
    let sql = format!(
        "UPDATE api_keys SET limits = '{}' WHERE seq = 2; UPDATE api_keys SET limits = '{}' WHERE seq = 3;
         UPDATE workspaces SET default_limits = '[]'",
        list(1),
        list(4)
    );
    execute(&database, &sql).await;
    let program = served(&database);
    let limits = program.cli(&["workspaces", "get", "demo"])["workspace_limits"].clone();
    let names: Vec<_> =
        limits.as_array().unwrap().iter().map(|limit| limit["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["w1", "w2", "w3", "w4"]);
    let page = page(&program, "").await;
    assert!(
        page.upserts
            .iter()
            .all(|upsert| upsert.record.problems().is_empty() && upsert.record.limits.len() == 4)
    );
    stop(program);
}

/// A limit of a key.
fn own(name: &str, requests: u32, window: u32) -> Value {
    json!({"name": name, "scope": "key", "requests": requests, "window_seconds": window})
}

/// The limits of the records in a page, in order of the keys' ids.
fn by_id(page: &Page) -> Vec<(String, String)> {
    let text = |record: &KeyRecord| {
        let limits = record.limits.iter().map(flamegate_control::domain::limits::to_text);
        limits.collect::<Vec<_>>().join(",")
    };
    let mut all: Vec<_> =
        page.upserts.iter().map(|upsert| (upsert.record.id.clone(), text(&upsert.record))).collect();
    all.sort();
    all
}

/// What gateways get, by the key's id.
async fn enforced(program: &Program) -> Vec<(String, String)> {
    by_id(&page(program, "").await)
}

const CI: &str = "key_1543aVUDbmMAYiJge0jL";
const FOLLOWER: &str = "key_jUclwq6rRMhwFt3pp8ls";

#[tokio::test(flavor = "multi_thread")]
async fn workspace_limits_leave_room_for_what_keys_have_besides() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("control.db");
    execute(&database, &dump("0002")).await;
    let four = json!([1, 2, 3, 4].map(|n| shared(&format!("w{n}"), n * 1_000, 1, None)));
    let default = json!([own("default", 100, 60), own("day", 900, 86_400)]);
    let sql = format!(
        "UPDATE api_keys SET limits = '{four}' WHERE seq = 2; UPDATE workspaces SET default_limits = '{default}'"
    );
    execute(&database, &sql).await;
    let program = served(&database);
    let two = "w1=1000/1s+1000@workspace,w2=2000/1s+2000@workspace";
    assert_eq!(
        enforced(&program).await,
        [
            (CI.to_owned(), two.to_owned()),
            (FOLLOWER.to_owned(), format!("default=100/60s,day=900/86400s,{two}"))
        ]
    );
    stop(program);
    assert_eq!(json_of(&tool(&["check", "--json"], &database))["remarks"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_room_keep_their_tightest_limits_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("control.db");
    execute(&database, &dump("0002")).await;
    let full = json!([own("a", 9_000, 1), own("b", 8_000, 1), own("c", 7_000, 1), own("tight", 5, 3_600)]);
    let ceiling = json!([shared("ceiling", 100, 1, None), shared("w", 200, 1, None)]);
    let sql = format!(
        "UPDATE api_keys SET limits = '{ceiling}' WHERE seq = 2; UPDATE workspaces SET default_limits = '{full}'"
    );
    execute(&database, &sql).await;
    let program = served(&database);
    let shared = "workspace-ceiling=100/1s+100@workspace";
    let follower = format!("b=8000/1s,c=7000/1s,tight=5/3600s,{shared}");
    let expected = [(CI.to_owned(), shared.to_owned()), (FOLLOWER.to_owned(), follower)];
    assert_eq!(enforced(&program).await, expected);
    // It is no reason to refuse what has nothing to do with it.
    let renamed =
        program.cli(&["workspaces", "update", "demo", "--name", "Other", "--max-active-keys", "50"]);
    assert_eq!((&renamed["name"], &renamed["max_active_keys"]), (&json!("Other"), &json!(50)));
    assert_eq!(enforced(&program).await, expected);
    stop(program);
    let checked = tool(&["check"], &database);
    succeeded(&checked);
    let told = String::from_utf8(checked.stderr).unwrap();
    assert!(told.contains(&format!("the key {FOLLOWER}: 4 limits of its own do not fit")), "{told}");
    // It is a sound database all the same.
    let copy = folder.path().join("copy.db");
    succeeded(&tool(&["backup", copy.to_str().unwrap()], &database));
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_learn_of_a_ceiling_that_was_left_out_of_their_records() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("control.db");
    execute(&database, &dump("0005")).await;
    // Three own limits within the ceiling and one of the workspace were a full record without the ceiling.
    let full = json!([own("a", 60, 60), own("b", 59, 60), own("c", 58, 60)]);
    let unbounded = "INSERT INTO workspaces (id, slug, name, default_limits, created_at) VALUES ('ws_u', 'u', 'U', '[]', 1);
         UPDATE revision_log SET revision = 7; INSERT INTO revision_tags VALUES (7, 't_7');
         INSERT INTO api_keys (id, hash, workspace_seq, environment, name, hint, created_at, listed, revision)
         VALUES ('key_u', zeroblob(32), 2, 'live', 'u', 'u', 1, 1, 7)";
    let sql = format!("UPDATE api_keys SET limits = '{full}' WHERE seq = 2; {unbounded}");
    execute(&database, &sql).await;
    let program = served(&database);
    // A gateway that had everything before: a difference, and nothing of the workspace that has no ceiling.
    let page = page(&program, "&epoch=e_5m03PiklBU1uNSnkF9S9&after=7&tag=t_7").await;
    assert_eq!((page.reset, page.revision, page.removals.len()), (false, 9, 0));
    let bounds = "ceiling=1000/60s+1000,shared=5000/3600s@workspace";
    assert_eq!(
        by_id(&page),
        [
            (CI.to_owned(), format!("b=59/60s,c=58/60s,{bounds}")),
            (FOLLOWER.to_owned(), format!("default=100/60s+20,{bounds}"))
        ]
    );
    stop(program);
    let remarks = json_of(&tool(&["check", "--json"], &database))["remarks"].clone();
    assert!(
        remarks[0].as_str().unwrap().starts_with(&format!("the key {CI}: 3 limits of its own")),
        "{remarks}"
    );
}
