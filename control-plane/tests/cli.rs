//! The built program as people and scripts use it: exit codes, and what goes to which output.

mod common;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use common::gateway::Gateway;
use common::program::{PROGRAM, Program, command, failed, json_of, succeeded};
use common::{ADMIN, Control, SYNC};
use serde_json::{Value, json};

/// Runs the program beside the control plane of this process.
async fn cli(control: &Control, args: &[&str]) -> Output {
    let mut command = command(&control.url(""), args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

const CREATE: [&str; 8] =
    ["keys", "create", "--workspace", "demo", "--name", "Production App", "--environment", "live"];

/// A table's words with one space between them, however wide its columns are.
fn words(table: &str) -> String {
    table.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn create_prints_an_object_with_id_and_key() {
    let control = Control::with_workspace().await;
    let args = [&CREATE[..], &["--limit", "100/60s", "--burst", "20", "--json"]].concat();
    let made = json_of(&cli(&control, &args).await);
    assert!(made["id"].as_str().unwrap().starts_with("key_"));
    assert_eq!(made["key"].as_str().unwrap().len(), 46);
    let limit =
        json!({"name": "default", "scope": "key", "requests": 100, "window_seconds": 60, "burst": 20});
    assert_eq!(made["limits"], json!([limit]));
}

#[tokio::test(flavor = "multi_thread")]
async fn for_people_the_key_is_all_of_standard_output() {
    let control = Control::with_workspace().await;
    let output = cli(&control, &CREATE).await;
    let (stdout, stderr) = (succeeded(&output), String::from_utf8(output.stderr.clone()).unwrap());
    let key = stdout.trim_end();
    assert!(key.starts_with("sk_live_") && key.len() == 46 && stdout.len() == 47);
    assert!(stderr.contains("not shown again") && !stderr.contains(key));
    assert!(!succeeded(&cli(&control, &["keys", "list"]).await).contains(key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_life_on_the_command_line() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    assert!(succeeded(&cli(&control, &["keys", "rename", &id, "New name"]).await).contains("New name"));
    let update = ["keys", "update", &id, "--limit", "hourly=5000/1h+9", "--expires-in", "90d", "--json"];
    let key = json_of(&cli(&control, &update).await);
    let hourly =
        json!({"name": "hourly", "scope": "key", "requests": 5000, "window_seconds": 3600, "burst": 9});
    assert_eq!((&key["limits"], key["expires_at"].is_string()), (&json!([hourly]), true));
    let key = json_of(
        &cli(&control, &["keys", "update", &id, "--inherit-limits", "--never-expires", "--json"]).await,
    );
    assert_eq!((&key["limits_inherited"], &key["expires_at"]), (&json!(true), &Value::Null));
    let new = json_of(&cli(&control, &["keys", "rotate", &id, "--grace", "24h", "--json"]).await);
    assert_eq!((&new["previous"]["id"], &new["previous"]["status"]), (&json!(id), &json!("active")));
    let shown = succeeded(&cli(&control, &["keys", "get", &id]).await);
    failed(&cli(&control, &["keys", "rotate", new["id"].as_str().unwrap()]).await, 2);
    assert!(shown.contains("default=100/60s+20") && shown.contains(new["id"].as_str().unwrap()), "{shown}");
    let text = succeeded(&cli(&control, &["keys", "revoke", &id]).await);
    assert_eq!(text, format!("{id} is revoked: refused on 0 of 0 gateways\n"));
    let listed = json_of(&cli(&control, &["keys", "list", "--status", "revoked", "--json"]).await);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &json!(id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn revoke_prints_the_receipt() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    gateway.run();
    let receipt = json_of(&cli(&control, &["keys", "revoke", &id, "--wait", "50s", "--json"]).await);
    assert_eq!(
        (&receipt["gateways"], &receipt["enforced"], &receipt["pending"]),
        (&json!(1), &json!(1), &json!([]))
    );
    assert!(receipt["slowest_ms"].is_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_code_6_when_a_gateway_does_not_answer() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    Gateway::new(&control, "gw-stuck").catch_up(&control).await;
    let output = cli(&control, &["keys", "revoke", &id, "--wait", "50ms", "--json"]).await;
    assert_eq!(failed(&output, 6), "error: not enforced yet by: shared/gw-stuck\n");
    let receipt: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(receipt["pending"], json!(["shared/gw-stuck"]), "the receipt is printed all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_code_6_while_somebody_who_is_cut_off_may_still_serve() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    Gateway::new(&control, "gw-1-0a1b2c3d").catch_up(&control).await;
    control.clock.advance(std::time::Duration::from_secs(90));
    let revoke = ["keys", "revoke", &id, "--wait", "50ms"];
    let output = cli(&control, &revoke).await;
    assert_eq!(failed(&output, 6), "error: cut off and may still serve: shared/gw-1-0a1b2c3d\n");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!(
            "{id} is revoked: refused on 0 of 0 gateways; cut off, may still serve: shared/gw-1-0a1b2c3d\n"
        )
    );
    // A hook beside Envoy does not know the random part of the id. What came in its place stays.
    control.clock.advance(std::time::Duration::from_millis(5));
    Gateway::new(&control, "gw-1-0a0a0a0a").catch_up(&control).await;
    control.clock.advance(std::time::Duration::from_secs(90));
    let text = succeeded(&cli(&control, &["gateways", "forget", "shared/gw-1"]).await);
    assert_eq!(text, "shared/gw-1-0a1b2c3d is forgotten\n");
    Gateway::new(&control, "gw-1-0b0b0b0b").catch_up(&control).await;
    control.clock.advance(std::time::Duration::from_secs(90));
    let text = succeeded(&cli(&control, &["gateways", "forget", "shared/gw-1", "--all"]).await);
    assert_eq!(text, "shared/gw-1-0a0a0a0a is forgotten\nshared/gw-1-0b0b0b0b is forgotten\n");
    succeeded(&cli(&control, &revoke).await);
    failed(&cli(&control, &["gateways", "forget", "shared/gw-1"]).await, 3);
    failed(&cli(&control, &["gateways", "forget", "gw-1"]).await, 2);
    for id in ["shared/..", "shared/.", "../..", "shared/"] {
        assert!(
            failed(&cli(&control, &["gateways", "forget", id]).await, 2).contains("is no name or id"),
            "{id}"
        );
    }
    // What a thief has invented, all at once; who is connected stays.
    for name in ["invented-1", "invented-2"] {
        Gateway::new(&control, name).catch_up(&control).await;
    }
    control.clock.advance(std::time::Duration::from_secs(90));
    Gateway::new(&control, "real").catch_up(&control).await;
    let told = json_of(&cli(&control, &["gateways", "forget", "--credential", "shared", "--json"]).await);
    assert_eq!(told["forgotten"], 2);
    let left = json_of(&cli(&control, &["gateways", "--json"]).await);
    assert!(left.as_array().unwrap().len() == 1 && left[0]["id"] == "shared/real", "{left}");
    succeeded(&cli(&control, &revoke).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_operators_are_made_used_from_a_file_listed_and_revoked() {
    let control = Control::with_workspace().await;
    let made = cli(&control, &["tokens", "create", "ci", "--expires-in", "90d"]).await;
    let (token, told) = (succeeded(&made), String::from_utf8(made.stderr.clone()).unwrap());
    assert!(token.starts_with("fgo_") && token.len() == 45, "the token alone");
    assert!(
        told.contains("for everything") && told.contains("not shown again") && !told.contains(token.trim())
    );
    let scoped = ["tokens", "create", "acme", "--workspace", "demo", "--role", "viewer", "--json"];
    let scoped = json_of(&cli(&control, &scoped).await);
    assert_eq!((&scoped["role"], &scoped["workspace_slug"]), (&json!("viewer"), &json!("demo")));
    failed(&cli(&control, &["tokens", "create", "half", "--role", "viewer"]).await, 2);
    // The file wins over the environment, wherever it is given.
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ci = file("ci", &token, 0o600);
    assert!(
        succeeded(&cli(&control, &[&["--token-file", &ci], &CREATE[..]].concat()).await)
            .starts_with("sk_live_")
    );
    let keys = json_of(&cli(&control, &["keys", "list", "--json", "--token-file", &ci]).await);
    assert_eq!(keys[0]["created_by"], "token:ci");
    let viewer = file("viewer", scoped["token"].as_str().unwrap(), 0o600);
    let told = failed(&cli(&control, &[&["--token-file", &viewer], &CREATE[..]].concat()).await, 1);
    assert!(told.contains("FORBIDDEN"), "{told}");
    let open = file("open", &token, 0o644);
    for (path, reason) in [(open.as_str(), "chmod 0600"), ("/nonexistent", "cannot be read")] {
        let told = failed(&cli(&control, &["keys", "list", "--token-file", path]).await, 2);
        assert!(told.contains("--token-file: ") && told.contains(reason), "{told}");
    }
    let listed = words(&succeeded(&cli(&control, &["tokens", "list"]).await));
    for text in ["ci opt_", "acme opt_", "demo viewer active", "admin token"] {
        assert!(listed.contains(text), "{listed}");
    }
    assert!(succeeded(&cli(&control, &["tokens", "revoke", "ci"]).await).contains("revoked"));
    failed(&cli(&control, &["keys", "list", "--token-file", &ci]).await, 4);
    failed(&cli(&control, &["tokens", "revoke", "nobody"]).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_gateways_are_made_listed_and_revoked() {
    let control = Control::with_workspace().await;
    let output = cli(&control, &["gateways", "add", "eu"]).await;
    let token = succeeded(&output);
    assert!(
        token.starts_with("fgw_") && token.lines().count() == 1,
        "nothing but the token: a script reads it"
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("not shown again"));
    let mut gateway = Gateway::with_token(&control, token.trim(), "gw");
    gateway.catch_up(&control).await;
    let table = succeeded(&cli(&control, &["gateways", "--connected"]).await);
    assert!(words(&table).contains("eu/gw 9.8.7 yes no no - 1 - yes 0 0"), "{table}");
    let going = succeeded(&cli(&control, &["gateways", "forget", "eu/gw"]).await);
    assert_eq!(going, "eu/gw will be forgotten once it disconnects\n");
    succeeded(&cli(&control, &["gateways", "revoke", "eu"]).await);
    assert!(gateway.poll().await.is_err());
    let listed = json_of(&cli(&control, &["gateways", "credentials", "--json"]).await);
    assert!(listed[0]["name"] == "eu" && listed[0]["revoked_at"].is_string(), "{listed}");
    failed(&cli(&control, &["gateways", "add", "eu"]).await, 1);
    failed(&cli(&control, &["gateways", "revoke", "nobody"]).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_kinds_of_failure_apart() {
    let control = Control::with_workspace().await;
    let refused = cli(&control, &["keys", "list", "--status", "gone"]).await;
    assert!(failed(&refused, 1).contains("must be active, revoked, expired or all"));
    failed(&cli(&control, &["keys", "lost"]).await, 2);
    failed(&cli(&control, &["keys", "create", "--workspace", "demo"]).await, 2);
    assert_eq!(
        failed(&cli(&control, &["keys", "get", "key_x"]).await, 3),
        "error: no such API key (NOT_FOUND)\n"
    );
    let mut wrong = command(&control.url(""), &["keys", "list"]);
    failed(&wrong.env("FLAMEGATE_ADMIN_TOKEN", SYNC).output().unwrap(), 4);
    failed(&command("http://127.0.0.1:1", &["gateways"]).output().unwrap(), 5);
    let error = failed(&cli(&control, &["workspaces", "get", "nobody", "--json"]).await, 3);
    assert_eq!(serde_json::from_str::<Value>(&error).unwrap()["code"], "NOT_FOUND");
    let mut without = command(&control.url(""), &["keys", "list"]);
    failed(&without.env_remove("FLAMEGATE_ADMIN_TOKEN").output().unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_needs_no_root_certificates() {
    let control = Control::start().await;
    let mut bare = command(&control.url(""), &["gateways"]);
    bare.envs([("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")]);
    succeeded(&tokio::task::spawn_blocking(move || bare.output().unwrap()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn workspaces_and_gateways_are_tables() {
    let control = Control::start().await;
    let made = ["workspaces", "create", "--name", "Acme", "--limit", "5/1s", "--json"];
    let made = json_of(&cli(&control, &made).await);
    assert_eq!(made["default_limits"][0]["requests"], 5);
    cli(&control, &["workspaces", "update", "acme", "--no-limits"]).await;
    let table = succeeded(&cli(&control, &["workspaces", "list"]).await);
    let mut lines = table.lines();
    assert!(lines.next().unwrap().starts_with("ID") && lines.next().unwrap().contains("none"), "{table}");
    let bounds = ["--ceiling", "100/60s+20", "--workspace-limit", "shared=5/1h", "--max-active-keys", "7"];
    let update = [&["workspaces", "update", "acme"][..], &bounds].concat();
    let text = succeeded(&cli(&control, &update).await);
    for shown in ["ceiling=100/60s+20", "shared=5/3600s@workspace", "MAX ACTIVE KEYS   7"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    let lift = ["--ceiling", "none", "--no-workspace-limits", "--max-active-keys", "none", "--json"];
    let lifted = json_of(&cli(&control, &[&["workspaces", "update", "acme"][..], &lift].concat()).await);
    assert_eq!((&lifted["ceiling"], &lifted["max_active_keys"]), (&Value::Null, &Value::Null));
    assert_eq!(lifted["workspace_limits"], json!([]));
    failed(&cli(&control, &["workspaces", "update", "acme", "--max-active-keys", "many"]).await, 2);
    Gateway::new(&control, "gw-1").catch_up(&control).await;
    for args in [&["gateways"][..], &["gateways", "list"]] {
        assert!(
            words(&succeeded(&cli(&control, args).await)).contains("shared/gw-1 9.8.7 yes no no - 1 - yes")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_keys_is_imported_in_batches_and_again_without_harm() {
    let control = Control::with_workspace().await;
    control.patch("/v1/workspaces/demo", json!({"max_active_keys": null})).await.expect(200);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for n in 0..2_500 {
        let key =
            json!({"hash": format!("{n:064x}"), "workspace": "demo", "name": "k", "environment": "test"});
        writeln!(file, "{key}").unwrap();
    }
    let path = file.path().to_str().unwrap().to_owned();
    let done = json_of(&cli(&control, &["keys", "import", "--file", &path, "--json"]).await);
    let all = json!({"imported": 2_500, "skipped": 0, "only_a_hash": 2_500, "refused": 0, "revision": 2_500, "refused_lines": []});
    assert_eq!(done, all);
    let again = succeeded(&cli(&control, &["keys", "import", "--file", &path]).await);
    assert_eq!(again, "imported 0 keys, skipped 2500 that were known already\n");
    writeln!(file, "not json").unwrap();
    assert!(
        failed(&cli(&control, &["keys", "import", "--file", &path]).await, 7)
            .contains("line 2501 is refused: it is not JSON")
    );
    let hash = "ab".repeat(32);
    let args =
        ["keys", "import", "--hash", &hash, "--workspace", "demo", "--name", "k", "--environment", "live"];
    let output = cli(&control, &args).await;
    succeeded(&output);
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("a hash does not show whether gateways accept its key")
    );
    assert!(failed(&cli(&control, &args).await, 1).contains("CONFLICT"));
}

#[test]
fn no_plaintext_stands_in_the_database_or_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::serve(&directory.path().join("control.db"));
    program.cli(&["workspaces", "create", "--name", "Demo"]);
    let made = program.cli(&[&CREATE[..], &["--idempotency-key", "once"]].concat());
    let new = program.cli(&["keys", "rotate", made["id"].as_str().unwrap(), "--grace", "1h"]);
    // While it runs the write-ahead log is there, too.
    let read_all = || {
        let files = std::fs::read_dir(directory.path()).unwrap();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect::<Vec<_>>().concat()
    };
    let mut bytes = read_all();
    program.signal("-TERM");
    let (code, log) = program.end();
    assert_eq!(code, Some(0));
    bytes.extend(read_all());
    bytes.extend(log.as_bytes());
    assert!(
        log.contains("POST") && contains(&bytes, made["id"].as_str().unwrap()),
        "the search can find things"
    );
    for plaintext in [made["key"].as_str().unwrap(), new["key"].as_str().unwrap()] {
        // The random part, whatever stands around it.
        assert!(!contains(&bytes, &plaintext[8..40]), "a plaintext was written");
    }
    for token in [ADMIN, SYNC] {
        assert!(!contains(&bytes, token), "a token was written");
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn serve_refuses_a_bad_configuration_and_a_database_in_use() {
    let serve = |args: &[&str], tokens: &[(&str, &str)]| {
        let mut command = Command::new(PROGRAM);
        command.arg("serve").args(args).env_clear().envs(tokens.iter().copied()).output().unwrap()
    };
    let error = failed(&serve(&["--listen", "x"], &[("FLAMEGATE_ADMIN_TOKEN", "short")]), 2);
    for part in ["--listen: 'x' is not valid", "at least 16 characters", "FLAMEGATE_SYNC_TOKEN is not set"] {
        assert!(error.contains(part), "{error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("control.db");
    let program = Program::serve(&database);
    let tokens = [("FLAMEGATE_ADMIN_TOKEN", ADMIN), ("FLAMEGATE_SYNC_TOKEN", SYNC)];
    let second = ["--listen", "127.0.0.1:0", "--database", database.to_str().unwrap()];
    assert!(failed(&serve(&second, &tokens), 1).contains("is in use by another flamegate-control"));
    let taken = program.url.strip_prefix("http://").unwrap();
    let other = directory.path().join("other.db");
    let taken = ["--init", "--listen", taken, "--database", other.to_str().unwrap()];
    assert!(failed(&serve(&taken, &tokens), 1).contains("cannot listen on"));
    program.signal("-TERM");
    program.end();
}

#[cfg(unix)]
#[test]
fn the_database_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let program = Program::serve(&directory.path().join("control.db"));
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.file_name());
    }
    program.signal("-TERM");
    program.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn users_on_the_command_line() {
    let control = Control::with_workspace().await;
    let add = ["users", "add", "--email", "Ada@example.com", "--workspace", "demo", "--role", "owner"];
    let output = cli(&control, &add).await;
    let (password, told) = (succeeded(&output), String::from_utf8(output.stderr.clone()).unwrap());
    assert_eq!(password.trim_end().len(), 20, "the password is all of standard output");
    assert!(told.contains("ada@example.com") && !told.contains(password.trim_end()), "{told}");
    assert!(failed(&cli(&control, &add).await, 1).contains("CONFLICT"));
    let listed = succeeded(&cli(&control, &["users", "list"]).await);
    assert!(listed.contains("owner of demo") && !listed.contains(password.trim_end()), "{listed}");
    let role = ["users", "set-role", "ada@example.com", "--workspace", "demo", "--role", "viewer", "--json"];
    assert_eq!(json_of(&cli(&control, &role).await)["roles"][0]["role"], "viewer");
    let reset = json_of(&cli(&control, &["users", "reset-password", "ada@example.com", "--json"]).await);
    assert_ne!(reset["password"].as_str(), Some(password.trim_end()));
    assert_eq!(
        json_of(&cli(&control, &["users", "disable", "ada@example.com", "--json"]).await)["disabled"],
        true
    );
    assert_eq!(
        json_of(&cli(&control, &["users", "enable", "ada@example.com", "--json"]).await)["disabled"],
        false
    );
    failed(&cli(&control, &["users", "disable", "nobody@example.com"]).await, 3);
    let log = json_of(&cli(&control, &["audit", "--action", "user.disabled", "--json"]).await);
    assert_eq!(
        (&log[0]["actor"]["via"], &log[0]["target"]["name"]),
        (&json!("cli"), &json!("ada@example.com"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_read_from_standard_input() {
    let control = Control::with_workspace().await;
    let add = |email: &str| {
        let args =
            ["users", "add", "--email", email, "--workspace", "demo", "--role", "owner", "--password-stdin"];
        let mut command = command(&control.url(""), &args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    for (email, password, code) in
        [("a@example.com", "correct horse battery\n", 0), ("b@example.com", "short\n", 1)]
    {
        let mut child = add(email);
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains(password.trim_end()));
    }
    let prompt = ["users", "reset-password", "a@example.com", "--password-prompt"];
    assert!(failed(&cli(&control, &prompt).await, 2).contains("--password-stdin"), "there is no terminal");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_is_doing() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    let told = |output: &Output| String::from_utf8(output.stderr.clone()).unwrap();
    let output = cli(&control, &["keys", "usage", &id]).await;
    assert!(words(&succeeded(&output)).contains("total 0 0 0 0 0 0"));
    assert!(told(&output).contains("nothing was counted yet"), "{}", told(&output));
    let minute = control.clock.now().as_second() / 60;
    let count = |outcome| json!({"key_id": id, "outcome": outcome, "minute": minute, "requests": 7});
    let counts = [count("admitted"), count("rate_limited")];
    let post = json!({"gateway": "gw", "sequence": 1, "counts": counts, "shadow": {"keys": [count("rate_limited")]}});
    let request = control.http.post(control.url("/sync/v1/usage")).bearer_auth(SYNC).json(&post);
    let answer = request.header("x-flamegate-session", "0".repeat(32)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let output = cli(&control, &["keys", "usage", &id, "--since", "2h", "--step", "minute"]).await;
    let table = words(&succeeded(&output));
    assert!(
        table.starts_with("START ADMITTED LIMITED") && table.ends_with("total 7 7 0 0 0 0 7 0"),
        "{table}"
    );
    assert_eq!(table.matches(" 7 7 0").count(), 2, "minutes without a request are left out: {table}");
    assert!(told(&output).contains("at shared/gw"), "{}", told(&output));
    let json = json_of(&cli(&control, &["keys", "usage", &id, "--json"]).await);
    assert_eq!(json["totals"]["admitted"], 7);
    failed(&cli(&control, &["keys", "usage", &id, "--since", "yesterday"]).await, 2);
    failed(&cli(&control, &["keys", "usage", "key_unknown"]).await, 3);
    for filter in [&["--still-used"][..], &["--unused-for", "90d"]] {
        let listed = json_of(&cli(&control, &[&["keys", "list", "--json"], filter].concat()).await);
        assert_eq!(listed, json!([]), "{filter:?}");
    }
    assert!(!told(&cli(&control, &["keys", "list", "--unused-for", "soon"]).await).is_empty());
}
