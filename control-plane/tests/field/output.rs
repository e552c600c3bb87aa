//! Output that cannot be written: a secret that nobody has seen is told by its id, and nothing says that it worked.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use crate::common::program::{PROGRAM, command, failed, json_of, succeeded};
use crate::common::{ADMIN, Control};

const CREATE: [&str; 8] = ["keys", "create", "--workspace", "demo", "--name", "App", "--environment", "live"];
const ADD: [&str; 8] =
    ["users", "add", "--email", "ada@example.com", "--workspace", "demo", "--role", "owner"];

/// Where standard output goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sink {
    /// A disk that has no room.
    Full,
    /// A pipe whose reader has gone.
    Gone,
    /// Nothing: `>&-`.
    Closed,
    Pipe,
}

/// Runs the program with its output going there.
async fn run(control: &Control, args: &[&str], sink: Sink) -> Output {
    let mut program = command(&control.url(""), args);
    match sink {
        Sink::Full => drop(program.stdout(File::options().write(true).open("/dev/full").unwrap())),
        Sink::Gone => drop(program.stdout(std::io::pipe().unwrap().1)),
        Sink::Closed => {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", "exec \"$@\" >&-", "sh", PROGRAM]).args(args).env_clear();
            shell.env("FLAMEGATE_CONTROL_URL", control.url("")).env("FLAMEGATE_ADMIN_TOKEN", ADMIN);
            program = shell;
        }
        Sink::Pipe => drop(program.stdout(Stdio::piped())),
    }
    let child = program.stderr(Stdio::piped()).spawn().unwrap();
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_nobody_has_seen_is_told_by_its_id() {
    let control = Control::with_workspace().await;
    for sink in [Sink::Full, Sink::Gone, Sink::Closed] {
        for json in [&[][..], &["--json"]] {
            let old = control.create_key_id().await;
            let rotate = ["keys", "rotate", &old, "--grace", "1h"];
            for args in [&CREATE[..], &rotate] {
                let told = failed(&run(&control, &[args, json].concat(), sink).await, 1);
                let id = newest_key(&control).await;
                assert!(told.contains(&format!("flamegate-control keys revoke {id}")), "{sink:?}: {told}");
                assert!(told.starts_with("error: ") && told.lines().count() == 1, "{sink:?}: {told}");
                assert_eq!(told.contains(&old), args[1] == "rotate", "{told}");
                // The advice is good.
                succeeded(&run(&control, &["keys", "revoke", &id], Sink::Pipe).await);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_are_passwords_and_tokens_of_gateways() {
    let control = Control::with_workspace().await;
    for (number, sink) in [Sink::Full, Sink::Gone, Sink::Closed].into_iter().enumerate() {
        let (email, name) = (format!("ada{number}@example.com"), format!("eu{number}"));
        let mut add = ADD;
        add[3] = &email;
        let told = failed(&run(&control, &add, sink).await, 1);
        let id = user(&control, &email).await;
        let advice = format!("flamegate-control users reset-password {id}");
        assert!(told.contains(&advice) && !told.contains("can sign in"), "{sink:?}: {told}");
        let reset = ["users", "reset-password", &id, "--json"];
        assert!(failed(&run(&control, &reset, sink).await, 1).contains(&advice), "{sink:?}");
        succeeded(&run(&control, &reset, Sink::Pipe).await);
        let told = failed(&run(&control, &["gateways", "add", &name], sink).await, 1);
        let advice = format!("flamegate-control gateways revoke {name}");
        assert!(told.contains(&advice) && !told.contains("Copy"), "{sink:?}: {told}");
        succeeded(&run(&control, &["gateways", "revoke", &name], Sink::Pipe).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_says_that_it_was_written_either() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    let commands: [&[&str]; 10] = [
        &["keys", "list"],
        &["keys", "list", "--json"],
        &["keys", "get", &id],
        &["keys", "rename", &id, "New"],
        &["keys", "revoke", &id],
        &["workspaces", "list"],
        &["workspaces", "update", "demo", "--name", "Other"],
        &["users", "list", "--json"],
        &["gateways"],
        &["audit"],
    ];
    for args in commands {
        let told = failed(&run(&control, args, Sink::Full).await, 1);
        assert!(told.starts_with("error: standard output cannot be written"), "{args:?}: {told}");
        // `| head` has read enough, and no secret was in it.
        assert_eq!(run(&control, args, Sink::Gone).await.status.code(), Some(0), "{args:?}");
    }
    let key = json_of(&run(&control, &["keys", "get", &id, "--json"], Sink::Pipe).await);
    assert_eq!((&key["status"], &key["name"]), (&"revoked".into(), &"New".into()), "what it did is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_throws_it_away_may() {
    let control = Control::with_workspace().await;
    let mut program = command(&control.url(""), &CREATE);
    program.stdout(Stdio::null());
    let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
    assert!(succeeded(&output).is_empty());
}

/// The id of the key that was made last.
async fn newest_key(control: &Control) -> String {
    control.get("/v1/api-keys").await.expect(200)[0]["id"].as_str().unwrap().to_owned()
}

async fn user(control: &Control, email: &str) -> String {
    let all = control.get("/v1/users").await.expect(200);
    let user = all.as_array().unwrap().iter().find(|user| user["email"] == email).unwrap();
    user["id"].as_str().unwrap().to_owned()
}
