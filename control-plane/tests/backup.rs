//! `check`, `backup` and `restore` on the built program, and databases of earlier schemas.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::Control;
use common::gateway::Gateway;
use common::program::{Program, failed, json_of, offline, succeeded};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

const CREATE: [&str; 8] =
    ["keys", "create", "--workspace", "demo", "--name", "Production App", "--environment", "live"];

/// One of the three commands beside a database.
fn tool(args: &[&str], database: &Path) -> Output {
    offline(&[args, &["--database", database.to_str().unwrap()]].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs statements on a file that no program uses.
async fn execute(database: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(database).create_if_missing(true);
    let mut connection = options.foreign_keys(false).connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn served(database: &Path) -> Program {
    Program::serve_by(&[], database, &[("FLAMEGATE_LOG", "warn")])
}

fn stop(program: Program) {
    program.signal("-TERM");
    assert_eq!(program.end().0, Some(0));
}

/// A stopped database with the workspace `demo` and a key; its folder, its path, the key's id.
fn prepared() -> (tempfile::TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("control.db");
    let program = served(&database);
    program.cli(&["workspaces", "create", "--name", "Demo"]);
    let id = program.cli(&CREATE)["id"].as_str().unwrap().to_owned();
    stop(program);
    (folder, database, id)
}

#[test]
fn without_a_database_it_is_said_as_serve_says_it_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (database, copy) = (folder.path().join("control.db"), folder.path().join("copy.db"));
    for args in [&["backup", text(&copy)] as &[&str], &["check"]] {
        let error = failed(&tool(args, &database), 2);
        assert!(error.contains(&format!("there is no database at {}", text(&database))), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    succeeded(&offline(&["init", "--database", text(&database)]));
    fs::write(&copy, "precious").unwrap();
    let error = failed(&tool(&["backup", text(&copy)], &database), 1);
    assert!(error.contains("already exists"), "{error}");
}

#[test]
fn a_copy_made_while_it_serves_holds_what_was_acknowledged_before() {
    let (folder, database, id) = prepared();
    let copy = folder.path().join("copy.db");
    let program = served(&database);
    let second = program.cli(&CREATE)["id"].as_str().unwrap().to_owned();
    let made = json_of(&tool(&["backup", text(&copy), "--json"], &database));
    assert_eq!((&made["keys"], &made["listed"], &made["problems"]), (&json!(2), &json!(2), &json!([])));
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o077, 0, "hashes are in it");
    assert!(failed(&tool(&["backup", text(&copy)], &database), 1).contains("exists"), "never written over");
    program.cli(&["keys", "revoke", &id]);
    stop(program);
    let restored = json_of(&tool(&["restore", text(&copy), "--json"], &database));
    assert_ne!(restored["epoch"], made["epoch"], "gateways must start over");
    let program = served(&database);
    for id in [&id, &second] {
        assert_eq!(program.cli(&["keys", "get", id])["status"], "active");
    }
    stop(program);
    // The database that was replaced is whole: the revocation is in it.
    let old = PathBuf::from(restored["old_database"].as_str().unwrap());
    succeeded(&tool(&["check"], &old));
    let program = served(&old);
    assert_eq!(program.cli(&["keys", "get", &id])["status"], "revoked");
    stop(program);
}

#[test]
fn restore_is_refused_while_a_server_runs_and_changes_nothing() {
    let (folder, database, id) = prepared();
    let copy = folder.path().join("copy.db");
    succeeded(&tool(&["backup", text(&copy)], &database));
    let program = served(&database);
    let error = failed(&tool(&["restore", text(&copy)], &database), 1);
    assert!(error.contains("is in use by another flamegate-control"), "{error}");
    assert_eq!(program.cli(&["keys", "get", &id])["status"], "active");
    stop(program);
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_refuses_what_is_damaged_foreign_or_newer_and_keeps_the_database() {
    let (folder, database, id) = prepared();
    let copy = folder.path().join("copy.db");
    succeeded(&tool(&["backup", text(&copy)], &database));
    let whole = fs::read(&copy).unwrap();
    let before = fs::read(&database).unwrap();
    let refused = |what: &str, part: &str| {
        let error = failed(&tool(&["restore", text(&copy)], &database), 1);
        assert!(error.contains(part), "{what}: {error}");
        assert_eq!(fs::read(&database).unwrap(), before, "{what}");
    };
    fs::write(&copy, &whole[..whole.len() / 2]).unwrap();
    refused("cut short", "malformed");
    fs::write(&copy, b"not a database at all, but long enough to look like something").unwrap();
    refused("garbage", "not a database");
    fs::remove_file(&copy).unwrap();
    refused("nothing", "No such file");
    execute(&copy, "CREATE TABLE other (a)").await;
    refused("another program's", "no such table");
    fs::write(&copy, &whole).unwrap();
    execute(
        &copy,
        "INSERT INTO _sqlx_migrations SELECT 9999, description, installed_on, success, checksum, \
        execution_time FROM _sqlx_migrations LIMIT 1",
    )
    .await;
    refused("a later version's", "schema 9999 is newer than this program");
    fs::write(&copy, &whole).unwrap();
    fs::write(folder.path().join("copy.db-wal"), b"x").unwrap();
    refused("a copy without its log", "write-ahead log");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| text(Path::new(name)).contains("restor")), "{names:?}");
    let program = served(&database);
    assert_eq!(program.cli(&["keys", "get", &id])["status"], "active");
    stop(program);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_each_kind_of_damage() {
    let (_folder, database, _) = prepared();
    succeeded(&tool(&["check"], &database));
    let whole = fs::read(&database).unwrap();
    for (damage, finding) in [
        ("UPDATE revision_log SET revision = 0", "a revision that was never given out"),
        ("UPDATE revision_log SET floor = 100", "floor is above its revision"),
        ("DELETE FROM revision_log", "revision_log must have one row"),
        ("DELETE FROM workspaces", "refer to rows that are not there"),
        ("UPDATE api_keys SET listed = 0; UPDATE revision_log SET floor = revision", "are still in the log"),
        ("UPDATE _sqlx_migrations SET checksum = x'00'", "was not applied as it is known here"),
        ("PRAGMA ignore_check_constraints = 1; UPDATE api_keys SET revoked_at = 1", "in the gateways' table"),
    ] {
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", text(&database)));
        }
        fs::write(&database, &whole).unwrap();
        execute(&database, damage).await;
        let error = failed(&tool(&["check"], &database), 1);
        assert!(error.contains("is not sound") && error.contains(finding), "{damage}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_every_gateway_starts_over_and_sessions_have_ended() {
    let control = Control::with_workspace().await;
    let lost = control.create_key_id().await;
    let mut gateway = Gateway::new(&control, "gw-1");
    gateway.catch_up(&control).await;
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy.db");
    succeeded(&tool(&["backup", text(&copy)], &control.database()));
    let kept = control.create_key_id().await;
    control.revoke(&lost, "0s").await;
    gateway.catch_up(&control).await;
    assert_eq!(gateway.ids(), [kept.as_str()]);
    execute(
        &copy,
        "INSERT INTO sessions (id_hash, data, expires_at) VALUES (zeroblob(32), '{}', 4102444800)",
    )
    .await;
    let invitation = "INSERT INTO invitations VALUES (zeroblob(32), 'inv_x', 1, 'x@example.com', 'viewer', 'ada', 0, 4102444800000)";
    execute(&copy, invitation).await;
    let _ = fs::remove_file(format!("{}-wal", text(&copy)));
    let control = control
        .restart(|database| {
            succeeded(&tool(&["restore", text(&copy)], database));
        })
        .await;
    gateway.reconnect(&control);
    gateway.catch_up(&control).await;
    assert_eq!((gateway.ids(), gateway.resets), (vec![lost.as_str()], 2), "the copy's keys, by a reset");
    assert_eq!((control.rows("sessions").await, control.rows("invitations").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_back_with_a_copy_and_can_be_locked_out_with_it() {
    let (folder, database, _) = prepared();
    let copy = folder.path().join("copy.db");
    let program = served(&database);
    let add = |email: &str| {
        program.cli(&["users", "add", "--email", email, "--workspace", "demo", "--role", "owner"]);
    };
    ["ada@example.com", "bob@example.com", "eve@example.com"].iter().for_each(|email| add(email));
    program.cli(&["users", "disable", "eve@example.com"]);
    program.cli(&["tokens", "create", "bobs"]);
    stop(program);
    succeeded(&tool(&["backup", text(&copy)], &database));
    let program = served(&database);
    // Bob has left since.
    program.cli(&["users", "disable", "bob@example.com"]);
    stop(program);
    let restored = tool(&["restore", text(&copy)], &database);
    let notes = String::from_utf8(restored.stderr.clone()).unwrap();
    assert!(notes.contains("people came back, too") && notes.contains("3 users"), "{notes}");
    assert!(
        notes.contains("--lock-users") && notes.contains("1 tokens of operators are as they were"),
        "{notes}"
    );
    let disabled = || {
        let program = served(&database);
        let users = program.cli(&["users", "list"]);
        let audit = program.cli(&["audit", "--action", "user.disabled"]);
        stop(program);
        let disabled: Vec<_> =
            users.as_array().unwrap().iter().map(|user| user["disabled"] == true).collect();
        (disabled, audit[0]["actor"]["name"].clone())
    };
    assert_eq!(disabled().0, [false, false, true], "as they were then");
    let restored = json_of(&tool(&["restore", text(&copy), "--lock-users", "--json"], &database));
    assert_eq!((&restored["users"], &restored["users_locked"]), (&json!(3), &json!(2)));
    assert_eq!((&restored["tokens"], &restored["tokens_ended"]), (&json!(1), &json!(1)));
    let (locked, by) = disabled();
    assert_eq!((locked, by), (vec![true, true, true], json!("restore --lock-users")));
    let program = served(&database);
    assert_eq!(program.cli(&["users", "enable", "ada@example.com"])["disabled"], false);
    assert_eq!(program.cli(&["tokens", "list"])[0]["status"], "revoked");
    stop(program);
}

#[test]
fn backup_and_restore_write_nothing_that_lies_under_their_names() {
    let (folder, database, _) = prepared();
    let (copy, precious) = (folder.path().join("copy.db"), folder.path().join("precious"));
    fs::write(&precious, "precious").unwrap();
    for name in ["copy.db.part", "copy.db.part-wal", "control.db.restoring", "control.db.restoring-journal"] {
        std::os::unix::fs::symlink(&precious, folder.path().join(name)).unwrap();
    }
    succeeded(&tool(&["backup", text(&copy)], &database));
    succeeded(&tool(&["restore", text(&copy)], &database));
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    // Not even where nothing is at the end of the link.
    let dangling = folder.path().join("dangling.db");
    std::os::unix::fs::symlink(folder.path().join("nothing"), &dangling).unwrap();
    failed(&tool(&["backup", text(&dangling)], &database), 1);
    assert!(!folder.path().join("nothing").exists());
}

/// Dumps of databases as earlier versions left them: `tests/schemas/<newest migration>.sql`.
fn schemas() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    files
}

#[test]
fn the_newest_migration_has_a_dump() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let newest = names.max().unwrap()[..4].to_owned();
    let dumps: Vec<_> =
        schemas().iter().map(|path| text(Path::new(path.file_stem().unwrap())).to_owned()).collect();
    assert!(dumps.contains(&newest), "no dump of schema {newest}: see migrations/README.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_earlier_schema_migrates_and_keeps_what_it_held() {
    let dumps = schemas();
    assert!(!dumps.is_empty());
    for dump in dumps {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("control.db");
        execute(&database, &fs::read_to_string(&dump).unwrap()).await;
        let program = served(&database);
        let keys = program.cli(&["keys", "list", "--workspace", "demo", "--status", "all"]);
        let mut statuses: Vec<_> =
            keys.as_array().unwrap().iter().map(|key| key["status"].as_str().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, ["active", "active", "revoked"], "{}", dump.display());
        program.cli(&CREATE);
        let http = reqwest_client();
        let page: Value = http
            .get(format!("{}/sync/v1/changes?gateway=gw-1", program.url))
            .bearer_auth(common::SYNC)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(page["upserts"].as_array().unwrap().len(), 3, "{}", dump.display());
        stop(program);
        succeeded(&tool(&["check"], &database));
    }
}

fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
