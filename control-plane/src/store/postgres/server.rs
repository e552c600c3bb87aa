//! The server: how to get there, and whether it is one that we can use.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use tokio::time::timeout;

use crate::config::database::ServerAddress;
use crate::domain::error::Error;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// The oldest that is tested.
const OLDEST: i32 = 15;

/// How to connect to the address that is used for everything but listening.
pub(super) fn options(address: &ServerAddress) -> Result<PgConnectOptions, sqlx::Error> {
    let options = of_url(address.url(), address)?;
    // A statement with a name is one of a connection; behind a pooler the next transaction may have another.
    Ok(if address.is_pooled() { options.statement_cache_capacity(0) } else { options })
}

/// How to connect to the server itself, to listen.
pub(super) fn direct_options(address: &ServerAddress) -> Result<Option<PgConnectOptions>, sqlx::Error> {
    address.direct().map(|url| of_url(url, address)).transpose()
}

fn of_url(url: &str, address: &ServerAddress) -> Result<PgConnectOptions, sqlx::Error> {
    // Poolers refuse parameters that they do not know, and no number here is a fraction.
    // Statements are not logged: one that inserts a thousand rows is long.
    let mut options = PgConnectOptions::from_str(url)?.extra_float_digits(None).disable_statement_logging();
    if options.get_application_name().is_none() {
        options = options.application_name("flamegate-control");
    }
    Ok(match address.password() {
        Some(password) => options.password(password),
        None => options,
    })
}

/// A new connection.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    let connected = timeout(CONNECT, PgConnection::connect_with(options)).await;
    Ok(connected.map_err(|_| late("no connection came about"))??)
}

/// Runs statements that bind nothing, all in one message. The rows are those of all of them.
pub(super) async fn run(
    connection: &mut PgConnection,
    sql: impl Into<String>,
    longest: Duration,
) -> Result<Vec<PgRow>, Error> {
    let ran = timeout(longest, sqlx::raw_sql(AssertSqlSafe(sql.into())).fetch_all(connection)).await;
    Ok(ran.map_err(|_| late("it did not answer"))??)
}

/// The database does not answer in its time.
pub(super) fn late(what: &'static str) -> Error {
    tracing::warn!("the database cannot be reached: {what} in time");
    Error::Unavailable("the database cannot be reached")
}

/// What is wrong with the server, if something is.
pub(super) async fn flaw(connection: &mut PgConnection) -> Result<Option<String>, Error> {
    let sql = "SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS shown, \
        current_setting('server_encoding') AS encoding";
    let rows = run(connection, sql, CONNECT).await?;
    let row = rows.first().ok_or_else(|| Error::internal("the server does not say what it is"))?;
    let (version, shown, encoding): (i32, String, String) =
        (row.try_get("version")?, row.try_get("shown")?, row.try_get("encoding")?);
    if version / 10_000 < OLDEST {
        return Ok(Some(format!("PostgreSQL {OLDEST} or later is needed, and this is {shown}")));
    }
    Ok((encoding != "UTF8").then(|| format!("the database's encoding must be UTF8, and it is {encoding}")))
}
