//! Looking after a database: what it holds and what is wrong with it, a copy of it, a copy in its place.

use std::collections::BTreeSet;
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

/// What a server's database has of tables, and of what only servers have. The lines are the same for one schema on every engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The migrations that were applied.
    pub applied: Vec<i64>,
    /// Tables' columns, keys, indexes, references and how many checks each has: `table: what`.
    pub lines: BTreeSet<String>,
    /// Names of triggers and functions that no migration has made so.
    pub unknown: Vec<String>,
}

impl Schema {
    /// Tells every difference from what the migrations make. An index more is the affair of whoever looks after the server.
    pub fn compare(&self, expected: &BTreeSet<String>, inspection: &mut Inspection) {
        let missing = expected.difference(&self.lines).map(|line| format!("{line} is missing"));
        inspection.problems.extend(missing);
        for line in self.lines.difference(expected) {
            let is_index = line.split_once(": ").is_some_and(|(_, what)| what.starts_with("index "));
            let told = if is_index { &mut inspection.remarks } else { &mut inspection.problems };
            told.push(format!("{line} is of no migration"));
        }
        inspection.problems.extend(self.unknown.iter().map(|name| format!("{name} is of no migration")));
    }
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
