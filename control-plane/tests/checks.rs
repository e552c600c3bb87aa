//! `check-config` and `doctor` as people and scripts use them: exit codes, both outputs, files that are not there, and what the
//! environment names on this machine.

mod common;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::program::{PROGRAM, Program, offline, succeeded};
use common::{ADMIN, SYNC};
use serde_json::Value;

fn run(args: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(args).env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that reads no standard input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn rules(output: &Output) -> Vec<String> {
    let found: Vec<Value> =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    found.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_good_file_is_fine_and_the_exit_code_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("filter.json");
    fs::write(&file, r#"{"sync": {"mode": "singleton"}, "bypass": [{"path": "/healthz"}]}"#).unwrap();
    let output = run(&["check-config", file.to_str().unwrap()], &[], "");
    assert_eq!(succeeded(&output), "");
    assert!(String::from_utf8_lossy(&output.stderr).contains("0 errors, 0 warnings, 0 hints"));
}

#[test]
fn all_mistakes_of_all_files_are_told_with_place_reason_and_advice() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.json"), folder.path().join("two.yaml"));
    fs::write(&one, r#"{"realm": 7, "bypas": [], "sync": {}}"#).unwrap();
    fs::write(&two, "sync:\n  mode: elected\n  wait_secs: 3\n").unwrap();
    let files = [one.to_str().unwrap(), two.to_str().unwrap()];
    let output = run(&["check-config", files[0], files[1]], &[("FLAMEGATE_SYNC_TOKEN", SYNC)], "");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for part in [
        "one.json: error plugin-configuration: realm: ",
        "bypas: unknown field",
        "two.yaml:1: error plugin-configuration: sync.wait_secs: unknown field",
        "\n  why: ",
        "\n  do:  ",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("error: 3 errors, 0 warnings, 0 hints"),
        "{output:?}"
    );
    let output = run(&["check-config", "--json", files[0]], &[], "");
    assert_eq!((output.status.code(), rules(&output).len()), (Some(1), 2));
}

#[test]
fn standard_input_roles_and_the_environment_are_looked_at() {
    let elected = r#"{"sync": {"mode": "elected"}}"#;
    let output = run(&["check-config", "--json", "-"], &[], elected);
    // It may be set where Envoy runs: a warning.
    assert_eq!((output.status.code(), rules(&output)), (Some(0), vec!["token-not-here".to_owned()]));
    let output = run(&["check-config", "--json", "-"], &[("FLAMEGATE_SYNC_TOKEN", SYNC)], elected);
    assert_eq!((output.status.code(), rules(&output).len()), (Some(0), 0));
    let output =
        run(&["check-config", "--json", "--role", "sync", "-"], &[("FLAMEGATE_SYNC_TOKEN", SYNC)], elected);
    assert_eq!((output.status.code(), rules(&output)), (Some(1), vec!["role".to_owned()]));
}

#[test]
fn a_file_that_cannot_be_read_and_no_file_are_usage() {
    for args in [
        &["check-config", "/nowhere.yaml"][..],
        &["check-config"],
        &["doctor", "--envoy-admin", "127.0.0.1:9901"],
    ] {
        let output = run(args, &[], "");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    let output = run(&["doctor", "--envoy-admin", "http://user:secret-word@127.0.0.1:9"], &[], "");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && !text.contains("secret-word"), "{text}");
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn tokens_and_database_of_this_machine_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("flamegate.db");
    let server = Program::serve(&database);
    let (open, empty) = (folder.path().join("open"), folder.path().join("empty"));
    write(&open, ADMIN, 0o644);
    write(&empty, "\n", 0o600);
    let [open, empty, database] = [&open, &empty, &database].map(|path| path.to_str().unwrap());
    let sound = [
        ("FLAMEGATE_CONTROL_URL", server.url.as_str()),
        ("FLAMEGATE_ADMIN_TOKEN", ADMIN),
        ("FLAMEGATE_DATABASE", database),
    ];
    let output = run(&["doctor", "--json"], &sound, "");
    assert_eq!(
        (output.status.code(), rules(&output)),
        (Some(0), vec!["no-gateway".to_owned(), "table-empty".to_owned()])
    );
    let whats = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(whats.contains("no key was ever made") && whats.contains(database), "{whats}");
    let url = ("FLAMEGATE_CONTROL_URL", server.url.as_str());
    let ask = |environment: &[(&str, &str)]| {
        let output = run(&["doctor", "--json"], &[&[url], environment].concat(), "");
        let mut found = rules(&output);
        found.retain(|rule| rule != "no-gateway" && rule != "table-empty");
        (output.status.code(), found)
    };
    let found =
        |code, rules: &[&str]| (Some(code), rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>());
    assert_eq!(ask(&[("FLAMEGATE_ADMIN_TOKEN_FILE", open)]), found(1, &["token-file-mode"]));
    assert_eq!(
        ask(&[("FLAMEGATE_ADMIN_TOKEN", ADMIN), ("FLAMEGATE_SYNC_TOKEN_FILE", empty)]),
        found(1, &["token-file"])
    );
    assert_eq!(
        ask(&[("FLAMEGATE_ADMIN_TOKEN", ADMIN), ("FLAMEGATE_SYNC_TOKEN", ADMIN)]),
        found(1, &["tokens-equal"])
    );
    assert_eq!(
        ask(&[("FLAMEGATE_ADMIN_TOKEN", "another-token-that-is-not-his")]),
        found(1, &["admin-token-refused"])
    );
    assert_eq!(ask(&[]), found(0, &["admin-token-missing"]));
    let other = folder.path().join("other.db");
    succeeded(&offline(&["init", "--database", other.to_str().unwrap()]));
    let another = [("FLAMEGATE_ADMIN_TOKEN", ADMIN), ("FLAMEGATE_DATABASE", other.to_str().unwrap())];
    assert_eq!(ask(&another), found(0, &["database-elsewhere"]));
    let nowhere = folder.path().join("nowhere.db");
    let elsewhere = [("FLAMEGATE_ADMIN_TOKEN", ADMIN), ("FLAMEGATE_DATABASE", nowhere.to_str().unwrap())];
    assert_eq!(ask(&elsewhere), found(0, &["database-missing"]));
    assert!(!nowhere.exists(), "it was made");
    write(&nowhere, "this is no database, and long enough for its first page to be read as one", 0o600);
    assert_eq!(ask(&elsewhere), found(1, &["database"]));
}

/// What this program writes, it finds nothing wrong with: routes of JWTs are Envoy's JWT filter's to guard.
#[test]
fn the_configuration_that_envoy_config_writes_is_fine_as_it_is() {
    let with_jwt = [
        "--jwt-issuer",
        "https://login.example.com",
        "--jwt-jwks",
        "/etc/envoy/jwks.json",
        "--stream",
        "/v1/events",
    ];
    for more in [&[][..], &with_jwt] {
        let written = run(&[&["envoy-config", "--upstream", "127.0.0.1:9000"], more].concat(), &[], "");
        let output =
            run(&["check-config", "--json", "-"], &[("FLAMEGATE_SYNC_TOKEN", SYNC)], &succeeded(&written));
        let mut found = rules(&output);
        found.retain(|rule| rule != "cluster-idle-time-out");
        assert_eq!((output.status.code(), found), (Some(0), Vec::new()), "{more:?}");
    }
}
