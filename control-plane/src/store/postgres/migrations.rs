//! The schema on PostgreSQL. All that is missing is done in one transaction, after all writes and before the next one; no lock is kept
//! beyond it, so a pooler may stand between.

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection as _, Row as _};

use tokio::time::sleep;

use super::mode::WRITE_LOCK;
use super::server;
use crate::domain::error::Error;
use crate::store::seam::open::OpenError;
use crate::store::sql::columns::Columns as _;
use crate::store::sql::migrations::{Applied, Needs, judge};

/// Every schema that there ever was, in order. What a later release has added is let be.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("migrations/postgres");
    migrations.set_ignore_missing(true).set_locking(false);
    migrations
});

/// How long a migration waits for those who use a table, how long after that it is tried again, and how often.
const LOCK: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 40;
/// How long a look at the catalogue may take.
const ANSWER: Duration = Duration::from_secs(10);
/// PostgreSQL's codes: a user may not do that; a lock was not to be had in time.
const NOT_ALLOWED: &str = "42501";
const NOT_YET: &str = "55P03";

/// What is in the database, or rather in the schema that a connection sees first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Ours,
    SomethingElse,
}

/// Looks whose the tables are. Those of extensions are nobody's.
pub(super) async fn find(connection: &mut PgConnection) -> Result<Found, Error> {
    let sql = "SELECT count(*) AS found, count(*) FILTER (WHERE relname = '_sqlx_migrations') AS ours FROM pg_class c
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
            AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')";
    let rows = server::run(connection, sql, ANSWER).await?;
    let row = rows.first().ok_or_else(|| Error::internal("the catalogue says nothing"))?;
    Ok(match (row.number("found")?, row.number("ours")?) {
        (0, _) => Found::Nothing,
        (_, 0) => Found::SomethingElse,
        _ => Found::Ours,
    })
}

/// What was applied, in order.
pub(super) async fn applied(connection: &mut PgConnection) -> Result<Vec<Applied>, Error> {
    let sql = "SELECT version, description, checksum, success FROM _sqlx_migrations ORDER BY version";
    let rows = server::run(connection, sql, ANSWER).await?;
    let applied = |row: &PgRow| {
        Ok(Applied {
            version: row.number("version")?,
            description: row.text("description")?,
            checksum: row.bytes("checksum")?,
            success: row.try_get("success")?,
        })
    };
    rows.iter().map(applied).collect()
}

/// Brings the schema up to date; nothing is asked of a user who may only use it, when it is.
pub(super) async fn run(connection: &mut PgConnection) -> Result<(), OpenError> {
    let needs = needs(connection).await?;
    let Needs::Migrations(version) = needs else { return Ok(()) };
    migrate(connection).await.map_err(|error| match code(&error) {
        Some(code) if code == NOT_ALLOWED => OpenError::MayNotMigrate(version),
        _ => error,
    })
}

async fn needs(connection: &mut PgConnection) -> Result<Needs, OpenError> {
    let looked = async {
        match find(connection).await? {
            Found::Ours => applied(connection).await,
            _ => Ok(Vec::new()),
        }
    };
    let applied = looked.await.map_err(unusable)?;
    judge(&MIGRATIONS, &applied).map_err(|error| OpenError::Migrate(error.into()))
}

/// Tries again and again, since whoever waits for a table makes everybody wait who comes after: readers for gateways, and all writers.
async fn migrate(connection: &mut PgConnection) -> Result<(), OpenError> {
    for _ in 0..ATTEMPTS {
        match try_to_migrate(connection).await {
            Err(error) if code(&error).is_some_and(|code| code == NOT_YET) => {
                tracing::warn!(
                    "the schema cannot be changed while others use it (a backup?): tried again in a moment"
                );
                sleep(PAUSE).await;
            }
            done => return done,
        }
    }
    try_to_migrate(connection).await
}

async fn try_to_migrate(connection: &mut PgConnection) -> Result<(), OpenError> {
    // The first word ends what an earlier attempt may have left.
    let begin = format!(
        "ROLLBACK; BEGIN; SET LOCAL lock_timeout = {}; SELECT pg_advisory_xact_lock({WRITE_LOCK})",
        LOCK.as_millis()
    );
    let mut tx = connection.begin_with(sqlx::AssertSqlSafe(begin)).await?;
    let done = async {
        // Another replica may have been faster.
        if needs(&mut tx).await? != Needs::Nothing {
            MIGRATIONS.run(&mut *tx).await?;
        }
        Ok(())
    };
    match done.await {
        Ok(()) => Ok(tx.commit().await?),
        Err(error) => {
            // Now, not with whatever is asked next: the others wait for the lock.
            let _ = tx.rollback().await;
            Err(error)
        }
    }
}

pub(super) fn unusable(error: Error) -> OpenError {
    OpenError::Database(error.into_cause())
}

/// PostgreSQL's code of what went wrong.
fn code(error: &OpenError) -> Option<String> {
    let (OpenError::Migrate(cause) | OpenError::Database(cause)) = error else { return None };
    let cause = match cause.downcast_ref::<MigrateError>() {
        Some(MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) => cause,
        _ => cause.downcast_ref::<sqlx::Error>()?,
    };
    Some(cause.as_database_error()?.code()?.into_owned())
}
