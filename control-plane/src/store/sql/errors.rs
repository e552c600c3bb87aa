//! What the database library says, in our words. What passes by itself is [`Error::Unavailable`], its cause in the log; the rest is our
//! fault.

use crate::domain::error::Error;
use crate::store::seam::open::OpenError;

/// SQLite's result code of a statement that was interrupted because its time was over.
const INTERRUPTED: &str = "9";

const BUSY: &str = "too much is read at once";
pub const SLOW: &str = "reading took too long";
const UNREACHABLE: &str = "the database cannot be reached";
const STARTING: &str = "the database is starting or going down";
const EXHAUSTED: &str = "the database has no room for this: memory, disk or connections";
const READ_ONLY: &str = "the database takes no changes: it is a standby or was made read-only";
pub const OCCUPIED: &str = "others write to the database for too long";
const POOLED: &str =
    "a pooler gives our connection away after each transaction: set FLAMEGATE_DATABASE_DIRECT";
const REFUSED: &str = "the database refuses our user";
pub const CHANGED: &str = "the database's schema was changed a moment ago: try again";

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match unavailable(&error) {
            Some(what @ (BUSY | SLOW)) => Self::Unavailable(what),
            Some(what) => {
                tracing::warn!(cause = %error, "{what}");
                Self::Unavailable(what)
            }
            None => Self::internal(error),
        }
    }
}

/// What nobody has to repair here.
fn unavailable(error: &sqlx::Error) -> Option<&'static str> {
    let cause = match error {
        sqlx::Error::PoolTimedOut => return Some(BUSY),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed => {
            return Some(UNREACHABLE);
        }
        sqlx::Error::Database(cause) => cause,
        _ => return None,
    };
    // PostgreSQL's codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
    Some(match cause.code()?.as_ref() {
        INTERRUPTED | "57014" => SLOW,
        "57P01" | "57P02" | "57P03" | "57P05" => STARTING,
        "25006" => READ_ONLY,
        "25P03" | "25P04" | "55P03" | "40001" | "40P01" => OCCUPIED,
        // A statement that we have named is not there, or is already: it was on another connection.
        "26000" | "42P05" => POOLED,
        // A plan of before, which another connection has not.
        "0A000" => CHANGED,
        // No user, no password, no database, and no right to connect.
        "3D000" => REFUSED,
        code if code.len() != 5 => return None,
        code => match code.get(..2)? {
            "08" => UNREACHABLE,
            "28" => REFUSED,
            "53" | "58" => EXHAUSTED,
            _ => return None,
        },
    })
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
