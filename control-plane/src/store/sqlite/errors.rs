//! What the database library says, in our words.

use crate::domain::error::Error;
use crate::store::seam::open::OpenError;

/// SQLite's result code of a statement that was interrupted because its time was over.
const INTERRUPTED: &str = "9";

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::Unavailable("too much is read at once"),
            sqlx::Error::Database(cause) if cause.code().as_deref() == Some(INTERRUPTED) => {
                Self::Unavailable("reading took too long")
            }
            _ => Self::internal(error),
        }
    }
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<sqlx::migrate::MigrateError> for OpenError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Migrate(error.into())
    }
}
