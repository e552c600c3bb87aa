//! Rows of `gateway_credentials`.

use async_trait::async_trait;
use jiff::Timestamp;

use super::columns::Columns;
use super::statement::{Sql, Statement};
use super::values::{signed, timestamp};
use crate::domain::credentials::StoredCredential;
use crate::domain::error::Error;
use crate::domain::random;
use crate::store::seam::credentials::{ReadCredentials, WriteCredentials};

#[async_trait]
impl<S: Sql> ReadCredentials for S {
    async fn list_credentials(&mut self) -> Result<Vec<StoredCredential>, Error> {
        let sql =
            "SELECT id, name, created_at, created_by, revoked_at FROM gateway_credentials ORDER BY name";
        self.rows(Statement::new(sql)).await?.iter().map(read).collect()
    }

    async fn good_credentials(&mut self) -> Result<Vec<(String, [u8; 32])>, Error> {
        let sql = "SELECT name, hash FROM gateway_credentials WHERE revoked_at IS NULL ORDER BY name";
        let read = |row: &S::Row| Ok((row.text("name")?, hash(row)?));
        self.rows(Statement::new(sql)).await?.iter().map(read).collect()
    }

    async fn find_credential(&mut self, name: &str) -> Result<Option<StoredCredential>, Error> {
        let sql =
            "SELECT id, name, created_at, created_by, revoked_at FROM gateway_credentials WHERE name = $1";
        self.row(Statement::new(sql).bind(name)).await?.as_ref().map(read).transpose()
    }
}

#[async_trait]
impl<S: Sql> WriteCredentials for S {
    async fn insert_credential(&mut self, row: &StoredCredential, hash: &[u8; 32]) -> Result<(), Error> {
        let insert = Statement::new(
            "INSERT INTO gateway_credentials (id, name, hash, created_at, created_by) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&row.id)
        .bind(&row.name)
        .bind(hash.as_slice())
        .bind(row.created_at.as_millisecond())
        .bind(&row.created_by);
        self.run(insert).await?;
        tell_others(self).await
    }

    async fn revoke_credential(&mut self, name: &str, now: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE gateway_credentials SET revoked_at = $1 WHERE name = $2 AND revoked_at IS NULL";
        self.run(Statement::new(sql).bind(now.as_millisecond()).bind(name)).await?;
        tell_others(self).await
    }
}

/// The hash of a token.
pub(super) fn hash(row: &impl Columns) -> Result<[u8; 32], Error> {
    row.bytes("hash")?.try_into().map_err(|_| Error::internal("a hash is not 32 bytes"))
}

/// Other control planes read the credentials, gateways' and operators', again once this is committed.
pub(super) async fn tell_others<S: Sql>(tx: &mut S) -> Result<(), Error> {
    // Not one more than before: a failover may lose this change, and the next one would have the same number.
    let mark = signed(random::mark()?)?;
    tx.run(Statement::new("UPDATE revision_log SET credentials = $1").bind(mark)).await?;
    if let Some(wake) = S::DIALECT.wake() {
        tx.run(Statement::new(wake)).await?;
    }
    Ok(())
}

fn read(row: &impl Columns) -> Result<StoredCredential, Error> {
    Ok(StoredCredential {
        id: row.text("id")?,
        name: row.text("name")?,
        created_at: timestamp(row.number("created_at")?)?,
        created_by: row.text("created_by")?,
        revoked_at: row.maybe_number("revoked_at")?.map(timestamp).transpose()?,
    })
}
