//! What comes back: a row, by the names of its columns. Whole numbers are signed 64-bit ones on every engine, flags are 0 and 1.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::domain::error::Error;

/// A row. Each function fails where there is no such column, or where it holds something else.
pub trait Columns: Send + Sync {
    /// A whole number.
    fn number(&self, column: &str) -> Result<i64, Error>;
    /// A whole number, or NULL.
    fn maybe_number(&self, column: &str) -> Result<Option<i64>, Error>;
    /// A text.
    fn text(&self, column: &str) -> Result<String, Error>;
    /// A text, or NULL.
    fn maybe_text(&self, column: &str) -> Result<Option<String>, Error>;
    /// Bytes.
    fn bytes(&self, column: &str) -> Result<Vec<u8>, Error>;
    /// Bytes, or NULL.
    fn maybe_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, Error>;

    /// A number that is 0 or something else.
    fn flag(&self, column: &str) -> Result<bool, Error> {
        Ok(self.number(column)? != 0)
    }
}

macro_rules! columns {
    ($row:ty) => {
        impl Columns for $row {
            fn number(&self, column: &str) -> Result<i64, Error> {
                Ok(self.try_get(column)?)
            }
            fn maybe_number(&self, column: &str) -> Result<Option<i64>, Error> {
                Ok(self.try_get(column)?)
            }
            fn text(&self, column: &str) -> Result<String, Error> {
                Ok(self.try_get(column)?)
            }
            fn maybe_text(&self, column: &str) -> Result<Option<String>, Error> {
                Ok(self.try_get(column)?)
            }
            fn bytes(&self, column: &str) -> Result<Vec<u8>, Error> {
                Ok(self.try_get(column)?)
            }
            fn maybe_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, Error> {
                Ok(self.try_get(column)?)
            }
        }
    };
}

columns!(SqliteRow);
columns!(PgRow);
