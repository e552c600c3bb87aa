//! Looking after a database on a server: is it sound, who may use it, and what is to be done after it was restored.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::client::Client;
use super::connections::Connections;
use super::migrations::{self, Found, MIGRATIONS};
use super::mode::Mode;
use super::{schema, server};
use crate::config::database::ServerAddress;
use crate::domain::error::Error;
use crate::store::seam::maintenance::{Inspection, MaintenanceError, Restored, Schema};
use crate::store::seam::open::OpenError;
use crate::store::sql::columns::Columns as _;
use crate::store::sql::migrations::judge;
use crate::store::sql::upkeep::{self, BegunAnew, Holdings};

type Result<T> = std::result::Result<T, MaintenanceError>;

/// How long a look at everything may take.
const LOOK: Duration = Duration::from_secs(600);
/// Where rows must not change.
const APPEND_ONLY: [&str; 3] = ["audit_log_no_delete", "audit_log_no_truncate", "audit_log_no_update"];

/// Looks at a database, also while servers use it, and changes nothing.
pub async fn inspect(address: &ServerAddress) -> Result<Inspection> {
    let mut connection = open(address).await?;
    let failed = |error: Error| server_error(address, error);
    if migrations::find(&mut connection).await.map_err(failed)? == Found::Nothing {
        return Err(OpenError::Missing(address.to_string()).into());
    }
    let applied = migrations::applied(&mut connection).await.map_err(failed)?;
    let mut problems = Vec::new();
    problems.extend(judge(&MIGRATIONS, &applied).err().map(|error| error.to_string()));
    guards(&mut connection, &mut problems).await.map_err(failed)?;
    let schema = applied.last().map_or(0, |applied| applied.version);
    let held = async {
        let mut client = client(address, Mode::Read(LOOK)).await?;
        upkeep::judge(&mut client, &mut problems).await?;
        upkeep::holdings(&mut client).await
    };
    let held = held.await.map_err(|error| server_error(address, error))?;
    let Holdings { epoch, revision, keys, listed } = held;
    let _ = connection.close().await;
    Ok(Inspection { schema, epoch, revision, keys, listed, problems, remarks: Vec::new() })
}

/// What the schema is; see [`Schema`].
pub async fn schema(address: &ServerAddress) -> Result<Schema> {
    let mut connection = open(address).await?;
    let described = schema::describe(&mut connection).await.map_err(|error| server_error(address, error));
    let _ = connection.close().await;
    described
}

/// Begins another history, and ends every session.
pub async fn restored(address: &ServerAddress, lock_users: bool) -> Result<Restored> {
    let mut connection = open(address).await?;
    migrations::run(&mut connection).await?;
    let done = async {
        let mut client = client(address, Mode::Write).await?;
        client.begin().await?;
        let done = upkeep::begin_anew(&mut client, lock_users, "database restored").await?;
        crate::store::sql::tags::seal(&mut client).await?;
        client.end("COMMIT").await?;
        Ok(done)
    };
    let BegunAnew { users, locked, tokens } = done.await.map_err(|error| server_error(address, error))?;
    Ok(Restored { inspection: inspect(address).await?, aside: None, users, locked, tokens })
}

/// Brings the schema up to date, and lets a user use it.
pub async fn migrate(address: &ServerAddress, grant_to: Option<&str>) -> Result<Inspection> {
    let mut connection = open(address).await?;
    let failed = |error: Error| server_error(address, error);
    if migrations::find(&mut connection).await.map_err(failed)? == Found::SomethingElse {
        return Err(OpenError::Foreign(address.to_string()).into());
    }
    migrations::run(&mut connection).await?;
    super::engine::prepare_log(address).await?;
    if let Some(user) = grant_to {
        grant(&mut connection, user).await.map_err(failed)?;
    }
    inspect(address).await
}

/// What a user needs who serves: rows, but no changes of the schema, of what was migrated, and of the audit log.
async fn grant(connection: &mut PgConnection, user: &str) -> std::result::Result<(), Error> {
    // One message each, without prepared statements: a pooler may stand between.
    let names = "SELECT quote_ident(current_schema()) AS schema, current_user::text AS own";
    let rows = server::run(connection, names, LOOK).await?;
    let row = rows.first().ok_or_else(|| Error::internal("the server does not say who we are"))?;
    let (schema, own) = (row.text("schema")?, row.text("own")?);
    if user == own {
        return Err(Error::internal("the user that serves must be another one than the one that migrates"));
    }
    let user = format!("\"{}\"", user.replace('"', "\"\""));
    let sql = format!(
        "BEGIN;
         GRANT USAGE ON SCHEMA {schema} TO {user};
         REVOKE CREATE ON SCHEMA {schema} FROM {user};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user};
         REVOKE UPDATE, DELETE, TRUNCATE ON audit_log FROM {user};
         REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON _sqlx_migrations FROM {user};
         COMMIT"
    );
    server::run(connection, sql, LOOK).await.map(drop)
}

/// Triggers that are missing or switched off, and indexes that a broken build left behind.
async fn guards(connection: &mut PgConnection, problems: &mut Vec<String>) -> std::result::Result<(), Error> {
    let sql = "SELECT tgname::text AS name FROM pg_trigger WHERE tgrelid = to_regclass('audit_log') AND tgenabled IN ('O', 'A')";
    let there = names(server::run(connection, sql, LOOK).await?)?;
    let missing = APPEND_ONLY.iter().filter(|name| !there.iter().any(|found| found == *name));
    problems.extend(missing.map(|name| format!("trigger {name} is missing or does not fire")));
    let sql = "SELECT c.relname::text AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = current_schema()::regnamespace AND NOT (i.indisvalid AND i.indisready)";
    let broken = names(server::run(connection, sql, LOOK).await?)?;
    problems.extend(broken.into_iter().map(|name| format!("index {name} is not valid: REINDEX it")));
    Ok(())
}

fn names(rows: Vec<PgRow>) -> std::result::Result<Vec<String>, Error> {
    rows.iter().map(|row| row.text("name")).collect()
}

async fn open(address: &ServerAddress) -> Result<PgConnection> {
    Ok(super::engine::look(address).await?)
}

async fn client(address: &ServerAddress, mode: Mode) -> std::result::Result<Client, Error> {
    let options = server::options(address)?;
    Client::new(&Connections::new(options, !address.is_pooled(), 1), mode).await
}

fn server_error(address: &ServerAddress, error: Error) -> MaintenanceError {
    MaintenanceError::Server(address.to_string(), error.into_cause())
}
