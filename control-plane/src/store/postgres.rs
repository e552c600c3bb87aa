//! The store on PostgreSQL: one database, any number of replicas of this program.
//!
//! Writes are done one after the other over all replicas, as on SQLite: each begins with the same lock. So what a transaction has found
//! stays as it is until its end, revisions become visible in their order, and no two writes can wait for each other.
//!
//! No connection has a state of its own between two transactions: a pooler may stand between.

mod client;
mod connections;
mod engine;
mod following;
pub mod maintenance;
mod migrations;
mod mode;
mod schema;
mod server;

pub use self::engine::Postgres;
