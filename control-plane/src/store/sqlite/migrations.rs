//! The schema on SQLite.

use std::sync::LazyLock;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnection;

use crate::store::seam::open::OpenError;
use crate::store::sql::migrations::{Applied, judge};

/// Every schema that there ever was, in order. What a later release has added is let be.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("migrations/sqlite");
    migrations.set_ignore_missing(true);
    migrations
});

/// Brings the schema up to date.
pub(super) async fn run(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let sql = "SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let made: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
    if made > 0 {
        let sql = "SELECT version, description, checksum, success FROM _sqlx_migrations ORDER BY version";
        let applied: Vec<(i64, String, Vec<u8>, bool)> =
            sqlx::query_as(sql).fetch_all(&mut *connection).await?;
        let applied: Vec<_> = applied.into_iter().map(Applied::from).collect();
        judge(&MIGRATIONS, &applied).map_err(|error| OpenError::Migrate(error.into()))?;
    }
    Ok(MIGRATIONS.run(connection).await?)
}
