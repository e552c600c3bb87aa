//! What is PostgreSQL's own: users and what they may do, two versions of the program on one schema, the way there and back, backups by
//! PostgreSQL's tools, a pooler between, several servers on one database.

#[path = "../common/mod.rs"]
mod common;

mod backups;
mod clocks;
mod copies;
mod encryption;
mod invented;
mod replicas;
mod users;
mod versions;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;

use common::program::{PROGRAM, Program, command, offline};
use flamegate_engines::Postgres;
use serde_json::Value;

/// One server for all tests; each has databases of its own.
static SERVER: LazyLock<Postgres> = LazyLock::new(Postgres::start);

/// The address of a new database.
fn new_database() -> String {
    SERVER.url(&SERVER.new_database())
}

/// The name of the database in an address.
fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

/// A server on it, which makes the tables where there are none.
fn serve(url: &str) -> Program {
    serve_with(url, &[])
}

fn serve_with(url: &str, environment: &[(&str, &str)]) -> Program {
    Program::serve_by(&[], url.as_ref(), environment)
}

/// A server that has to find them; why it does not start.
fn does_not_serve(url: &str) -> String {
    let tokens = [("FLAMEGATE_ADMIN_TOKEN", common::ADMIN), ("FLAMEGATE_SYNC_TOKEN", common::SYNC)];
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--listen", "127.0.0.1:0", "--database", url]).env_clear().envs(tokens);
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The program without a server, on a database.
fn tool(args: &[&str], url: &str) -> Output {
    offline(&[args, &["--database", url]].concat())
}

/// A workspace with two keys, of which one was revoked; returns the other one's id.
fn fill(program: &Program) -> String {
    program.cli(&["workspaces", "create", "--name", "Demo"]);
    let made = ["One", "Two"].map(|name| {
        program.cli(&["keys", "create", "--workspace", "demo", "--name", name, "--environment", "live"])
    });
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    revoke(program, &id(&made[0]));
    id(&made[1])
}

/// Revokes a key, whoever has not heard of it yet.
fn revoke(program: &Program, id: &str) {
    let revoked = command(&program.url, &["keys", "revoke", id, "--wait", "0"]).output().unwrap();
    assert!(matches!(revoked.status.code(), Some(0 | 6)), "{revoked:?}");
}

/// A program of PostgreSQL's own.
fn postgres_tool(name: &str, args: &[&str]) -> Output {
    let folders = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|folder| folder.unwrap().path());
    let newest: PathBuf = folders.max().unwrap();
    let output = Command::new(newest.join("bin").join(name)).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}
