//! Commands for whoever looks for a mistake: `explain`, `audit`, and what the program says about its own environment and files.

mod common;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::gateway::Gateway;
use common::program::{PROGRAM, Program, command, failed, json_of, succeeded};
use common::{ADMIN, Control, SYNC};
use serde_json::json;

async fn run(mut command: Command, input: Option<&str>) -> Output {
    let input = input.map(str::to_owned);
    let work = move || {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may have ended without reading.
        let _ = stdin.write_all(input.unwrap_or_default().as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn explain(control: &Control, args: &[&str], input: Option<&str>) -> Output {
    run(command(&control.url(""), &[&["explain"], args].concat()), input).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_on_standard_input_is_explained_and_never_sent() {
    let control = Control::with_workspace().await;
    let made = control.create_key().await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    Gateway::new(&control, "gw").catch_up(&control).await;
    for input in [format!("{key}\n"), format!("Authorization: Bearer {key}"), format!("\"{key}\"\r\n")] {
        let text = succeeded(&explain(&control, &[], Some(&input)).await);
        assert!(text.starts_with("ANSWER  200: the key is active; 429 RATE_LIMITED while"), "{text}");
        for part in
            [id, "default: 100 per 60 s, 20 at once", "shared/gw", "api_key.created at ", "WORKSPACE SLUG"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains(key));
    }
    control.revoke(id, "0").await;
    let known = json_of(&explain(&control, &["--json", "-"], Some(key)).await);
    assert_eq!((&known["key"]["id"], &known["key"]["status"]), (&json!(id), &json!("revoked")));
    // The only gateway that is connected has not acknowledged it.
    assert_eq!(known["answer"]["reason"], "behind");
    assert_eq!(known["gateways"][0]["answer"]["reason"], "behind");
    let text = succeeded(&explain(&control, &[id], None).await);
    assert!(
        text.starts_with("ANSWER  -: the gateway has not acknowledged the key's last change")
            && text.contains("behind: "),
        "{text}"
    );
    assert!(text.contains("LAST CHANGE  api_key.revoked at "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_of_ours_is_told_without_asking_anybody() {
    let control = Control::with_workspace().await;
    let made = control.create_key().await;
    let key = made["key"].as_str().unwrap();
    let told = failed(&explain(&control, &[], Some("pk_live_something\n")).await, 3);
    assert!(told.contains("has not the form of a key") && !told.contains("something"), "{told}");
    let told = failed(&explain(&control, &[], Some("eyJhbGciOiJIUzI1NiJ9.e30.x\n")).await, 3);
    assert!(told.contains("begins like a JWT") && !told.contains("every gateway"), "{told}");
    failed(&explain(&control, &[], Some("\n")).await, 2);
    // A slip in a key that was made here shows by its checksum.
    let slip = format!("{}{}", &key[..key.len() - 1], if key.ends_with('x') { 'y' } else { 'x' });
    let output = explain(&control, &[], Some(&slip)).await;
    let told = failed(&output, 3);
    assert!(
        told.contains("no key here has this hash") && told.contains("does not end in its checksum"),
        "{told}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("ANSWER  401 INVALID_API_KEY: no key here"));
    // On a command line others see it.
    let told = failed(&explain(&control, &[key], None).await, 2);
    assert!(told.contains("give it on standard input") && !told.contains(key), "{told}");
    assert!(!control.get("/v1/audit").await.body.to_string().contains(key));
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_and_hashes_find_keys_and_several_are_listed() {
    let control = Control::with_workspace().await;
    let body = |n: u32| {
        json!({"hash": format!("{n:064x}"), "workspace": "demo", "name": format!("key {n}"), "environment": "live",
            "key_hint": "sk_live_…zzzz"})
    };
    control.post("/v1/api-keys/import", body(1)).await.expect(201);
    // As people type it who have no … on their keyboard.
    let one = succeeded(&explain(&control, &["sk_live_...zzzz"], None).await);
    assert!(one.contains("key 1") && one.contains("No gateway has asked for keys"), "{one}");
    let by_hash = json_of(&explain(&control, &[&format!("{:064X}", 1), "--json"], None).await);
    assert_eq!(by_hash["key"]["name"], "key 1");
    control.post("/v1/api-keys/import", body(2)).await.expect(201);
    let output = explain(&control, &["sk_live_…zzzz"], None).await;
    let text = succeeded(&output);
    assert!(text.contains("key 1") && text.contains("key 2") && !text.contains("ANSWER"), "{text}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Explain one of them by its id"));
    failed(&explain(&control, &["key_x"], None).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_successor_names_what_still_works_and_the_audit_log_is_text() {
    let control = Control::with_workspace().await;
    let old = control.create_key_id().await;
    let new = control.post(&format!("/v1/api-keys/{old}/rotate"), json!({"grace": "24h"})).await.expect(201);
    let new = new["id"].as_str().unwrap();
    let output = run(command(&control.url(""), &["keys", "revoke", new]), None).await;
    succeeded(&output);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains(&format!("{old} (sk_live_…")) && told.contains(&format!("keys revoke {old}")),
        "{told}"
    );
    let table = succeeded(&run(command(&control.url(""), &["audit", "--target", &old]), None).await);
    assert!(table.contains("expires at never → ") && table.contains("grace, seconds 86400"), "{table}");
    assert!(table.contains("api_key.created") && !table.contains("workspace.created"), "{table}");
}

/// A folder with a token file of this mode.
fn token_file(text: &str, mode: u32) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let at = path.to_str().unwrap().to_owned();
    (folder, at)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_reads_its_token_as_the_server_does() {
    let control = Control::with_workspace().await;
    let with = |file: &str, both: bool| {
        let mut list = command(&control.url(""), &["workspaces", "list"]);
        if !both {
            list.env_remove("FLAMEGATE_ADMIN_TOKEN");
        }
        list.env("FLAMEGATE_ADMIN_TOKEN_FILE", file);
        list
    };
    let (_keep, good) = token_file(&format!("{ADMIN}\nanother-token-for-tests\n"), 0o600);
    assert!(succeeded(&run(with(&good, false), None).await).contains("demo"));
    assert!(failed(&run(with(&good, true), None).await, 2).contains("cannot both be set"));
    let (_keep, open) = token_file(ADMIN, 0o644);
    let told = failed(&run(with(&open, false), None).await, 2);
    assert!(
        told.contains("FLAMEGATE_ADMIN_TOKEN_FILE: everybody on this machine may read the file (mode 0644)"),
        "{told}"
    );
    assert!(!told.contains(ADMIN));
    let (_keep, empty) = token_file("\n", 0o600);
    assert!(failed(&run(with(&empty, false), None).await, 2).contains("the file is empty"));
    assert!(failed(&run(with("/nonexistent", false), None).await, 2).contains("cannot be read"));
}

/// `serve` that does not get as far as serving.
fn serve(database: &Path, environment: &[(&str, &str)]) -> Output {
    let mut serve = Command::new(PROGRAM);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--database"]).arg(database).env_clear();
    serve.env("FLAMEGATE_ADMIN_TOKEN", ADMIN).env("FLAMEGATE_SYNC_TOKEN", SYNC);
    serve.envs(environment.iter().copied()).output().unwrap()
}

#[test]
fn a_slip_in_a_variable_is_refused_and_what_nothing_reads_is_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("control.db");
    let slips = [
        ("FLAMEGATE_DATABSE", "/elsewhere.db"),
        ("FLAMEGATE_SYNC_TOKENS", "x"),
        ("FLAMEGATE_IDLE_TIMEOUT", "x"),
    ];
    let told = failed(&serve(&database, &slips), 2);
    for part in [
        "FLAMEGATE_DATABSE is not a setting: is FLAMEGATE_DATABASE meant?",
        "FLAMEGATE_SYNC_TOKENS is not a setting: is FLAMEGATE_SYNC_TOKEN meant?",
        "FLAMEGATE_IDLE_TIMEOUT: 'x' is no time",
    ] {
        assert!(told.contains(part), "all mistakes at once: {part}: {told}");
    }
    assert!(!database.exists() && !told.contains("elsewhere"), "{told}");
    // A client would go elsewhere just as silently.
    let mut client = command("http://127.0.0.1:1", &["gateways"]);
    assert!(
        failed(&client.env("FLAMEGATE_CONTROL_URI", "x").output().unwrap(), 2).contains("is not a setting")
    );
    let environment = [
        ("FLAMEGATE_COLOUR", "red"),
        ("FLAMEGATE_CONTROL_SERVICE_HOST", "10.0.0.1"),
        ("FLAMEGATE_CONTROL_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("FLAMEGATE_DEMO_KEY", "x"),
    ];
    let program = Program::serve_by(&[], &database, &environment);
    program.signal("-TERM");
    let (code, log) = program.end();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("that nothing reads")).collect();
    assert!(code == Some(0) && lines.len() == 1 && lines[0].contains("FLAMEGATE_COLOUR"), "{log}");
    assert!(!log.contains("SERVICE_HOST") && !log.contains("DEMO_KEY"), "{log}");
}

#[test]
fn token_files_that_are_empty_or_open_to_everybody_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("control.db");
    let token = "metrics-token-for-tests";
    for (text, mode, told) in [
        ("", 0o600, "FLAMEGATE_METRICS_TOKEN_FILE: the file is empty"),
        (",,\n", 0o600, "FLAMEGATE_METRICS_TOKEN_FILE: there is no token in the file"),
        (
            token,
            0o604,
            "FLAMEGATE_METRICS_TOKEN_FILE: everybody on this machine may read the file (mode 0604)",
        ),
        (token, 0o622, "FLAMEGATE_METRICS_TOKEN_FILE: others than its owner may write the file (mode 0622)"),
    ] {
        let (_keep, file) = token_file(text, mode);
        let error = failed(&serve(&database, &[("FLAMEGATE_METRICS_TOKEN_FILE", &file)]), 2);
        assert!(error.contains(told) && !error.contains(token), "{told}: {error}");
    }
    let (_keep, file) = token_file(token, 0o640);
    let program = Program::serve_by(&[], &database, &[("FLAMEGATE_METRICS_TOKEN_FILE", &file)]);
    program.signal("-TERM");
    assert_eq!(program.end().0, Some(0), "a group may be meant");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_without_a_token_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::serve_by(&[], &folder.path().join("control.db"), &[]);
    let url = format!("{}/sync/v1/changes?gateway=a", program.url);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..30 {
        assert_eq!(http.get(&url).send().await.unwrap().status(), 401);
    }
    assert_eq!(http.get(&url).bearer_auth("another-gateways-token").send().await.unwrap().status(), 401);
    program.signal("-TERM");
    let (_, log) = program.end();
    let lines =
        log.lines().filter(|line| line.contains("a poll came without a token") && line.contains("127.0.0.1"));
    let count = lines.count();
    assert!((1..30).contains(&count), "{count} lines, bounded: {log}");
    assert!(log.contains("a wrong token was refused") && log.contains("kind=\"sync\""), "{log}");
}
