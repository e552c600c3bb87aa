//! The store on SQLite: one file, one process.

mod audit;
mod changes;
mod credentials;
mod engine;
mod errors;
mod files;
mod folded;
mod gateways;
mod idempotency;
mod keys;
pub mod maintenance;
mod migrations;
mod readers;
mod replicas;
mod sessions;
mod tags;
mod users;
mod values;
mod workspaces;

pub use self::engine::Sqlite;
