//! Looking after a database: what it holds and what is wrong with it, a copy of it, a copy in its place.

use std::io;
use std::path::PathBuf;

use super::open::OpenError;

/// What a database file holds, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The newest migration that was applied.
    pub schema: i64,
    /// Name of its history.
    pub epoch: String,
    /// The last revision given out.
    pub revision: i64,
    /// Keys, of any state.
    pub keys: i64,
    /// Keys in the gateways' table.
    pub listed: i64,
    /// What is wrong; empty when it is sound.
    pub problems: Vec<String>,
    /// What an operator should know of a sound database, too.
    pub remarks: Vec<String>,
}

/// A database that was put in the place of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What it holds.
    pub inspection: Inspection,
    /// Where the old database is now.
    pub aside: Option<PathBuf>,
    /// How many users it has.
    pub users: u64,
    /// How many of them were locked out.
    pub locked: u64,
    /// How many tokens of operators came with it; ended now, when the users are locked out.
    pub tokens: u64,
}

/// Why one of these did not happen.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// A server uses the database, or it cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// Another tool does that for this engine.
    #[error("{0}")]
    NotHere(&'static str),
    /// The server failed, or nobody may do that. Which one, and why.
    #[error("{0}: {1}")]
    Server(String, Box<dyn std::error::Error + Send + Sync>),
    /// The engine refused.
    #[error("{0}: {1}")]
    Database(PathBuf, Box<dyn std::error::Error + Send + Sync>),
    /// The file is not sound, or not one of ours.
    #[error("{0} cannot be used: {1}")]
    Unsound(PathBuf, String),
}
