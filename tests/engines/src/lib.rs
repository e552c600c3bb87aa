//! Engines for tests: PostgreSQL clusters, PgBouncer and Redis that belong to one test, and everything that can happen to them.
//!
//! All of them listen on loopback, on ports that no other test gets ([`process::free_port`]), keep their data in a folder of their own
//! ([`folder::DataFolder`]) and end with the value that stands for them, by a panic, too. `tests/engines/setup.sh` installs what is missing.
//! A missing program is an error, never a skipped test.

pub mod database;
pub mod folder;
pub mod link;
pub mod pgbouncer;
pub mod postgres;
pub mod process;
mod programs;
pub mod redis;
pub mod standby;

pub use database::Database;
pub use link::{Link, Passage};
pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, Stop};
pub use redis::{Redis, Sentinel};
pub use standby::Replication;

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long something that must happen may take before a test fails. Generous: a slow machine is no failure, and
/// nobody waits for it when things work.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is `Ok`; panics with the last `Err` when [`DEADLINE`] has passed.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match ask() {
            Ok(value) => return value,
            Err(last) if started.elapsed() > DEADLINE => {
                panic!("{what}: not within {DEADLINE:?}; last: {last}")
            }
            Err(_) => thread::sleep(Duration::from_millis(2)),
        }
    }
}
