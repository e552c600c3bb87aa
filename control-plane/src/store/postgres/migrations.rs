//! The schema on PostgreSQL. All that is missing is done in one transaction, after all writes and before the next one; no lock is kept
//! beyond it, so a pooler may stand between.

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;

use super::client::WRITE_LOCK;
use crate::store::seam::open::OpenError;
use crate::store::sql::migrations::{Applied, Needs, judge};

/// Every schema that there ever was, in order. What a later release has added is let be.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("migrations/postgres");
    migrations.set_ignore_missing(true).set_locking(false);
    migrations
});

/// How long a migration waits for those who use a table.
const LOCK: Duration = Duration::from_secs(30);
/// The code of a user who may not do that.
const NOT_ALLOWED: &str = "42501";

/// What is in the database, or rather in the schema that a connection sees first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Ours,
    SomethingElse,
}

/// Looks whose the tables are. Those of extensions are nobody's.
pub(super) async fn find(connection: &mut PgConnection) -> Result<Found, sqlx::Error> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE relname = '_sqlx_migrations') FROM pg_class c
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
            AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')";
    let (all, ours): (i64, i64) = sqlx::query_as(sql).persistent(false).fetch_one(connection).await?;
    Ok(match (all, ours) {
        (0, _) => Found::Nothing,
        (_, 0) => Found::SomethingElse,
        _ => Found::Ours,
    })
}

/// What was applied, in order.
pub(super) async fn applied(connection: &mut PgConnection) -> Result<Vec<Applied>, sqlx::Error> {
    let sql = "SELECT version, description, checksum, success FROM _sqlx_migrations ORDER BY version";
    let applied: Vec<(i64, String, Vec<u8>, bool)> =
        sqlx::query_as(sql).persistent(false).fetch_all(connection).await?;
    Ok(applied.into_iter().map(Applied::from).collect())
}

/// Brings the schema up to date; nothing is asked of a user who may only use it, when it is.
pub(super) async fn run(connection: &mut PgConnection) -> Result<(), OpenError> {
    let needs = needs(connection).await?;
    let Needs::Migrations(version) = needs else { return Ok(()) };
    migrate(connection).await.map_err(|error| match error {
        OpenError::Migrate(cause) if is_not_allowed(cause.as_ref()) => OpenError::MayNotMigrate(version),
        other => other,
    })
}

async fn needs(connection: &mut PgConnection) -> Result<Needs, OpenError> {
    let applied = match find(connection).await? {
        Found::Ours => applied(connection).await?,
        _ => Vec::new(),
    };
    judge(&MIGRATIONS, &applied).map_err(|error| OpenError::Migrate(error.into()))
}

async fn migrate(connection: &mut PgConnection) -> Result<(), OpenError> {
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout = {}; SELECT pg_advisory_xact_lock({WRITE_LOCK})",
        LOCK.as_millis()
    );
    let mut tx = connection.begin_with(sqlx::AssertSqlSafe(begin)).await?;
    // Another replica may have been faster.
    if needs(&mut tx).await? != Needs::Nothing {
        MIGRATIONS.run(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

fn is_not_allowed(error: &(dyn std::error::Error + 'static)) -> bool {
    let cause = match error.downcast_ref::<MigrateError>() {
        Some(MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) => cause,
        _ => return false,
    };
    cause.as_database_error().and_then(|cause| cause.code()).is_some_and(|code| code == NOT_ALLOWED)
}
