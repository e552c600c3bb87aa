//! Looking after a database without a server: is it sound, a copy of it, a copy in its place.

use std::path::Path;

pub use super::seam::maintenance::{Inspection, MaintenanceError, Restored};
use super::sqlite;

/// Looks at a database, also while a server uses it, and changes nothing.
pub async fn inspect(database: &Path) -> Result<Inspection, MaintenanceError> {
    sqlite::maintenance::inspect(database).await
}

/// Writes a copy of the database, as of one moment, to a file that must not be there yet. A server may be running.
pub async fn back_up(database: &Path, target: &Path) -> Result<Inspection, MaintenanceError> {
    sqlite::maintenance::back_up(database, target).await
}

/// Puts a copy of `backup` in the place of the database, which no server may use. With `lock_users` every user is locked
/// out until an operator enables them.
pub async fn restore(backup: &Path, database: &Path, lock_users: bool) -> Result<Restored, MaintenanceError> {
    sqlite::maintenance::restore(backup, database, lock_users).await
}
