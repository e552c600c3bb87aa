//! Why a database could not be opened.

use std::path::PathBuf;

use crate::domain::error::Error;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its lock file cannot be made or opened.
    #[error("cannot open {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// There is no database, and none was to be made. Where it should be.
    #[error(
        "there is no database at {0}: name the right file (--database, FLAMEGATE_DATABASE), put a backup there (flamegate-control \
        restore), or make a new one, in which no key works (flamegate-control init, or serve --init)"
    )]
    Missing(String),
    /// What is there is something else. Where.
    #[error("{0} is no database of flamegate-control: it is left as it is")]
    Foreign(String),
    /// Another process serves this database.
    #[error("{0} is in use by another flamegate-control")]
    InUse(PathBuf),
    /// The server cannot be reached or used. Which one, and why.
    #[error("cannot use the database {0}: {1}")]
    Server(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The schema is not up to date, and our user may not change it. The newest migration.
    #[error(
        "the database's schema is older than migration {0}, and this user may not change it: run `flamegate-control database migrate` \
        with a user who may"
    )]
    MayNotMigrate(i64),
    /// The engine refused it.
    #[error("cannot open the database: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No randomness for the epoch, or a damaged log.
    #[error("cannot prepare the revision log: {0}")]
    Log(Error),
    /// A key could not be read or written.
    #[error("cannot prepare the search of keys: {0}")]
    Search(Error),
}
