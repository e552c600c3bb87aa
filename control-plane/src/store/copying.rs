//! From one database to another one: an installation moves from a file to a server, or back. Nobody may write to either meanwhile: a file
//! is locked against servers, and on a server everybody else who writes waits.

use super::postgres::Postgres;
use super::seam::engine::Engine as _;
use super::seam::maintenance::MaintenanceError;
use super::sql::copying::{self, CopyError};
use super::sql::statement::Sql;
use super::sqlite::Sqlite;
use crate::config::database::DatabaseAddress;
use crate::domain::error::Error;

pub use super::sql::copying::Copied;

/// Copies everything into a database that is new or empty, and compares both row by row before anything of the copy is kept. Epoch,
/// revisions and tags are kept: gateways do not notice.
pub async fn copy(from: &DatabaseAddress, to: &DatabaseAddress) -> Result<Copied, MaintenanceError> {
    match from {
        DatabaseAddress::File(path) => {
            let source = Sqlite::open(path).await?;
            let mut tx = source.begin_copy().await.map_err(|error| failed(from, error))?;
            let copied = copy_to(&mut *tx, from, to).await;
            drop(tx);
            source.close().await;
            copied
        }
        DatabaseAddress::Server(server) => {
            let source = Postgres::open(server).await?;
            let mut client = source.begin_copy().await.map_err(|error| failed(from, error))?;
            let copied = copy_to(&mut client, from, to).await;
            drop(client);
            source.close().await;
            copied
        }
    }
}

async fn copy_to(
    source: &mut impl Sql,
    from: &DatabaseAddress,
    to: &DatabaseAddress,
) -> Result<Copied, MaintenanceError> {
    let told = |error: CopyError| match error {
        CopyError::Failed(error) => failed(to, error),
        error => MaintenanceError::Server(format!("{from} to {to}"), error.into()),
    };
    match to {
        DatabaseAddress::File(path) => {
            let target = Sqlite::open_or_make(path).await?;
            let mut tx = target.begin_copy().await.map_err(|error| failed(to, error))?;
            let copied = copying::copy(source, &mut *tx).await.map_err(told)?;
            tx.commit().await.map_err(|error| failed(to, error.into()))?;
            target.close().await;
            Ok(copied)
        }
        DatabaseAddress::Server(server) => {
            let target = Postgres::open_or_make(server).await?;
            let mut client = target.begin_copy().await.map_err(|error| failed(to, error))?;
            let copied = copying::copy(source, &mut client).await.map_err(told)?;
            client.end("COMMIT").await.map_err(|error| failed(to, error))?;
            target.close().await;
            Ok(copied)
        }
    }
}

/// What went wrong inside is what an operator needs here.
fn failed(at: &DatabaseAddress, error: Error) -> MaintenanceError {
    let cause = match error {
        Error::Internal(cause) => cause,
        error => error.into(),
    };
    MaintenanceError::Server(at.to_string(), cause)
}
