//! Looking after a database without a server: is it sound, a copy of it, a copy in its place. Of what a PostgreSQL server does itself, and
//! better, this is not the place.

use std::path::Path;

pub use super::copying::{Copied, copy};
use super::postgres;
pub use super::seam::maintenance::{Inspection, MaintenanceError, Restored, Schema};
use super::sqlite;
use crate::config::database::DatabaseAddress;

/// Looks at a database, also while a server uses it, and changes nothing.
pub async fn inspect(database: &DatabaseAddress) -> Result<Inspection, MaintenanceError> {
    match database {
        DatabaseAddress::File(path) => sqlite::maintenance::inspect(path).await,
        DatabaseAddress::Server(server) => {
            let mut inspection = postgres::maintenance::inspect(server).await?;
            let found = postgres::maintenance::schema(server).await?;
            // Migrations are pairs: what those of a file make is what those of a server have to make.
            if let Some(expected) = sqlite::maintenance::schema_by(&found.applied).await? {
                found.compare(&expected, &mut inspection);
            }
            Ok(inspection)
        }
    }
}

/// Writes a copy of the database, as of one moment, to a file that must not be there yet. A server may be running.
pub async fn back_up(database: &DatabaseAddress, target: &Path) -> Result<Inspection, MaintenanceError> {
    match database {
        DatabaseAddress::File(path) => sqlite::maintenance::back_up(path, target).await,
        DatabaseAddress::Server(_) => Err(MaintenanceError::NotHere(
            "PostgreSQL makes its own backups: pg_basebackup with archived WAL, or pg_dump (docs/OPERATIONS.md)",
        )),
    }
}

/// Puts a copy of `backup` in the place of the database, which no server may use. With `lock_users` every user is locked
/// out until an operator enables them.
pub async fn restore(
    backup: &Path,
    database: &DatabaseAddress,
    lock_users: bool,
) -> Result<Restored, MaintenanceError> {
    match database {
        DatabaseAddress::File(path) => sqlite::maintenance::restore(backup, path, lock_users).await,
        DatabaseAddress::Server(_) => Err(MaintenanceError::NotHere(
            "PostgreSQL restores its own backups; afterwards, and before anything is served, run `flamegate-control database restored` \
             (docs/OPERATIONS.md)",
        )),
    }
}

/// Says that the database, which no server uses, was restored from a backup: another history begins, so that every gateway fetches the
/// whole table, and every session ends. With `lock_users` every user is locked out until an operator enables them, and every token of
/// operators ends.
pub async fn restored(database: &DatabaseAddress, lock_users: bool) -> Result<Restored, MaintenanceError> {
    match database {
        DatabaseAddress::File(_) => Err(MaintenanceError::NotHere(
            "a file is restored by `flamegate-control restore`, which does this, too",
        )),
        DatabaseAddress::Server(server) => postgres::maintenance::restored(server, lock_users).await,
    }
}

/// Brings the schema up to date, and lets a user (`grant_to`) use it who may not change it.
pub async fn migrate(
    database: &DatabaseAddress,
    grant_to: Option<&str>,
) -> Result<Inspection, MaintenanceError> {
    match database {
        DatabaseAddress::File(_) => Err(MaintenanceError::NotHere(
            "a file is migrated by whoever opens it: `flamegate-control serve`",
        )),
        DatabaseAddress::Server(server) => postgres::maintenance::migrate(server, grant_to).await,
    }
}
