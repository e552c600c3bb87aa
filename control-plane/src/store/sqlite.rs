//! The store on SQLite: one file, one process.

mod connection;
mod engine;
mod files;
pub mod maintenance;
mod migrations;
mod readers;

pub use self::engine::Sqlite;
