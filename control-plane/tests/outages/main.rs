//! What happens to control planes that share a PostgreSQL when that, one of them, or the way between breaks: real processes, and gateways
//! that poll all of them in turn. What is expected each time: calls are refused in bounded time and the log says why, gateways keep their
//! table and are not sent it again, nothing that was acknowledged is lost, and it goes on by itself.

#[path = "../common/mod.rs"]
mod common;
mod database;
mod failover;
mod pooler;
mod replicas;
mod usage;

/// Runs what blocks beside the runtime: a cluster's start, stop or fail-over.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
