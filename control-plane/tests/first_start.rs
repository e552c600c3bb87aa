//! A new database is made when somebody says so, and replaces what gateways have only then.

#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use common::gateway::Gateway;
use common::program::{PROGRAM, Program, failed, json_of, offline, succeeded};
use common::{ADMIN, Control, SYNC};
use serde_json::json;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// `serve` in this folder, as somebody starts it who did not say which database. One that starts all the same is ended.
fn serve_in(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("/usr/bin/timeout");
    command
        .current_dir(folder)
        .args(["20", PROGRAM, "serve", "--listen", "127.0.0.1:0"])
        .args(args)
        .env_clear();
    command.env("FLAMEGATE_ADMIN_TOKEN", ADMIN).env("FLAMEGATE_SYNC_TOKEN", SYNC).output().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn serve_in_another_folder_makes_nothing_and_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let error = failed(&serve_in(folder.path(), &[]), 2);
    let looked = folder.path().canonicalize().unwrap().join("flamegate.db");
    for part in [text(&looked), "restore", "init"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
    // An empty file, which a mistyped redirection leaves, is no database either.
    fs::write(folder.path().join("flamegate.db"), "").unwrap();
    assert!(failed(&serve_in(folder.path(), &[]), 2).contains("there is no database at"));
}

#[tokio::test]
async fn the_database_of_another_program_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("flamegate.db");
    use sqlx::{ConnectOptions as _, Connection as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&database).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query("CREATE TABLE recipes (title TEXT)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let before = fs::read(&database).unwrap();
    for args in [&[][..], &["--init"]] {
        let error = failed(&serve_in(folder.path(), args), 2);
        assert!(error.contains("is no database of flamegate-control"), "{error}");
        assert!(fs::read(&database).unwrap() == before, "{args:?} changed it");
    }
}

#[test]
fn init_makes_what_serve_needs_once_and_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("flamegate");
    let paths = json_of(&offline(&["init", "--dir", text(&made), "--json"]));
    assert_eq!(paths["database"], text(&made.join("flamegate.db")));
    let secret = |name: &str| fs::read_to_string(made.join(name)).unwrap().trim_end().to_owned();
    let (admin, sync) = (secret("admin-token"), secret("sync-token"));
    assert!(admin.len() == 43 && sync.len() == 43 && admin != sync);
    assert_eq!(secret("gateway.env"), format!("FLAMEGATE_SYNC_TOKEN={sync}"));
    for name in names(&made) {
        let mode = fs::metadata(made.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
    let all: Vec<_> =
        names(&made).iter().map(|name| (name.clone(), fs::read(made.join(name)).unwrap())).collect();
    let error = failed(&offline(&["init", "--dir", text(&made)]), 1);
    assert!(error.contains("nothing was made") && error.contains("flamegate.db"), "{error}");
    for (name, before) in all {
        assert!(fs::read(made.join(&name)).unwrap() == before, "{name} was changed");
    }
    // With one of them gone it makes nothing either: half of an old set and half of a new one fit nowhere.
    fs::remove_file(made.join("admin-token")).unwrap();
    let error = failed(&offline(&["init", "--dir", text(&made)]), 1);
    assert!(!made.join("admin-token").exists());
    for part in ["missing: ", "admin-token", "move them away", "in the database, keep it"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn half_of_a_folder_is_refused_with_what_finishes_it() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("flamegate");
    succeeded(&offline(&["init", "--dir", text(&made)]));
    let database = made.join("flamegate.db");
    for name in names(&made).iter().filter(|name| name.starts_with("flamegate.db")) {
        fs::remove_file(made.join(name)).unwrap();
    }
    let error = failed(&offline(&["init", "--dir", text(&made)]), 1);
    assert!(error.contains(&format!("init --database '{}'", text(&database))), "{error}");
    succeeded(&offline(&["init", "--database", text(&database)]));
    fs::remove_file(&database).unwrap();
    fs::remove_file(made.join("gateway.env")).unwrap();
    let error = failed(&offline(&["init", "--dir", text(&made)]), 1);
    assert!(error.contains("move them away") && !error.contains("in the database"), "{error}");
}

#[test]
fn a_shell_reads_the_environment_file_and_serve_starts_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("of a name with blanks");
    succeeded(&offline(&["init", "--dir", text(&made)]));
    // From another folder: the paths are absolute.
    let script = format!("set -a; . '{}/flamegate.env'; exec '{PROGRAM}' check", made.display());
    let output = Command::new("sh").args(["-c", &script]).current_dir("/").env_clear().output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains(text(&made.join("flamegate.db"))), "{output:?}");
    succeeded(&output);
    let script = format!("set -a; . '{}/flamegate.env'; exec \"$@\"", made.display());
    let program = Program::serve_plain(&["sh", "-c", &script, "sh"], &[]);
    program.signal("-TERM");
    let (code, log) = program.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(text(&made.join("flamegate.db"))), "the log names the database: {log}");
    let odd = folder.path().join("a$b");
    assert!(failed(&offline(&["init", "--dir", text(&odd)]), 2).contains("environment files"));
    assert!(!odd.exists());
}

#[test]
fn init_makes_a_database_alone_and_keeps_one_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("data.db");
    succeeded(&offline(&["init", "--database", text(&database)]));
    succeeded(&offline(&["check", "--database", text(&database)]));
    assert!(failed(&offline(&["init", "--database", text(&database)]), 1).contains("nothing was made"));
    assert!(failed(&offline(&["init", "--database", "x", "--dir", "y"]), 2).contains("cannot be used with"));
}

/// A gateway that has the table of another database.
async fn with_a_table() -> (Control, Gateway) {
    let control = Control::with_workspace().await;
    control.create_key().await;
    let mut gateway = Gateway::new(&control, "gw-1");
    gateway.catch_up(&control).await;
    (control, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_nobody_named_leaves_the_gateways_their_table() {
    let (_old, mut gateway) = with_a_table().await;
    let other = Control::with_workspace().await.restart_uninitialised(|_| ()).await;
    gateway.reconnect(&other);
    // Whether it is empty or has keys: it is another one.
    for _ in 0..2 {
        let answer = common::Answer::of(gateway.request()).await;
        let message = answer.refused(503, "UNAVAILABLE")["message"].as_str().unwrap().to_owned();
        assert!(message.contains("another database"), "{message}");
        other.create_key().await;
    }
    assert_eq!(gateway.ids().len(), 1, "it goes on with what it has");
    let listed = async |other: &Control| other.get("/v1/gateways").await.expect(200)[0].clone();
    assert_eq!(listed(&other).await["other_database"], true);
    // It answers by the other table, whatever that says; in general, too, since no other gateway is connected.
    let id = other.create_key_id().await;
    let known = other.get(&format!("/v1/explain?id={id}")).await.expect(200);
    for told in [&known["answer"], &known["gateways"][0]["answer"]] {
        assert_eq!((&told["status"], &told["reason"]), (&json!(null), &json!("other_database")), "{told}");
        assert!(told["why"].as_str().unwrap().contains("serve --init"), "{told}");
    }
    // One without a table loses nothing.
    let mut fresh = Gateway::new(&other, "gw-2");
    fresh.catch_up(&other).await;
    assert_eq!(fresh.ids().len(), 3);
    // Its own gateways go on after a restart.
    let other = other.restart_uninitialised(|_| ()).await;
    fresh.reconnect(&other);
    fresh.catch_up(&other).await;
    // Told so, it replaces the other table.
    let other = other.restart(|_| ()).await;
    gateway.reconnect(&other);
    gateway.catch_up(&other).await;
    assert_eq!(gateway.ids().len(), 3);
    assert_eq!(listed(&other).await["other_database"], false, "it has taken this one's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_replaces_the_table_without_being_told() {
    let (_lost, mut gateway) = with_a_table().await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let other = Control::with_workspace().await;
    other.create_key().await;
    let other = other
        .restart_uninitialised(|database| {
            succeeded(&offline(&["backup", text(&copy), "--database", text(database)]));
            succeeded(&offline(&["restore", text(&copy), "--database", text(database)]));
        })
        .await;
    let key = other.create_key_id().await;
    gateway.reconnect(&other);
    gateway.catch_up(&other).await;
    assert_eq!(gateway.ids().len(), 2);
    assert!(gateway.ids().contains(&key.as_str()));
}

#[test]
fn options_that_take_no_none_name_the_flag_that_says_it() {
    let update = |option: &str| failed(&offline(&["workspaces", "update", "acme", option, "none"]), 2);
    assert!(update("--workspace-limit").contains("--no-workspace-limits"));
    let create =
        ["keys", "create", "--workspace", "acme", "--name", "x", "--environment", "live", "--limit", "none"];
    assert!(failed(&offline(&create), 2).contains("--no-limits"));
}

#[test]
fn a_configuration_of_envoy_is_not_written_over_and_json_tells_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.yaml");
    let args = ["envoy-config", "--upstream", "127.0.0.1:8081", "--output", text(&file), "--json"];
    assert_eq!(json_of(&offline(&args))["output"], text(&file));
    let before = fs::read(&file).unwrap();
    let error = failed(&offline(&args[..5]), 1);
    assert!(error.contains("there is such a file already") && !error.contains("os error"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(failed(&offline(&["envoy-config", "--upstream", "a:1", "--json"]), 2).contains("--output"));
    let clash = ["envoy-config", "--upstream", "a:1", "--listen", "127.0.0.1:9901"];
    assert!(failed(&offline(&clash), 2).contains("--admin-port"));
}
