//! A PostgreSQL server for all tests of a program, with a database for each that has the tables already: making them takes longer than
//! most tests.

use std::process::Command;
use std::sync::LazyLock;

use flamegate_engines::Postgres;
use flamegate_engines::postgres::ROLE;

/// The server.
pub static SERVER: LazyLock<Postgres> = LazyLock::new(|| {
    let server = Postgres::start();
    server.sql("postgres", &format!("CREATE DATABASE {TEMPLATE} OWNER {ROLE}"));
    let mut migrate = Command::new(env!("CARGO_BIN_EXE_flamegate-control"));
    migrate.args(["database", "migrate", "--database", &server.url(TEMPLATE)]).env_clear();
    let output = migrate.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    server
});

const TEMPLATE: &str = "migrated";

/// The name of a new database with the tables of today.
pub fn migrated() -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let name = format!("of_test_{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    SERVER.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {ROLE}"));
    name
}
