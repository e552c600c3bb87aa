//! Rows of `gateway_credentials`.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::values::timestamp;
use crate::domain::credentials::StoredCredential;
use crate::domain::error::Error;
use crate::store::seam::credentials::{ReadCredentials, WriteCredentials};

#[async_trait]
impl ReadCredentials for SqliteConnection {
    async fn list_credentials(&mut self) -> Result<Vec<StoredCredential>, Error> {
        let sql =
            "SELECT id, name, created_at, created_by, revoked_at FROM gateway_credentials ORDER BY name";
        sqlx::query(sql).fetch_all(self).await?.iter().map(read).collect()
    }

    async fn good_credentials(&mut self) -> Result<Vec<(String, [u8; 32])>, Error> {
        let rows =
            sqlx::query("SELECT name, hash FROM gateway_credentials WHERE revoked_at IS NULL ORDER BY name")
                .fetch_all(self)
                .await?;
        let read = |row: &SqliteRow| {
            let hash: Vec<u8> = row.try_get("hash")?;
            Ok((
                row.try_get("name")?,
                hash.try_into().map_err(|_| Error::internal("a hash is not 32 bytes"))?,
            ))
        };
        rows.iter().map(read).collect()
    }

    async fn find_credential(&mut self, name: &str) -> Result<Option<StoredCredential>, Error> {
        let sql =
            "SELECT id, name, created_at, created_by, revoked_at FROM gateway_credentials WHERE name = ?";
        sqlx::query(sql).bind(name).fetch_optional(self).await?.as_ref().map(read).transpose()
    }
}

#[async_trait]
impl WriteCredentials for SqliteConnection {
    async fn insert_credential(&mut self, row: &StoredCredential, hash: &[u8; 32]) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO gateway_credentials (id, name, hash, created_at, created_by) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&row.id)
        .bind(&row.name)
        .bind(hash.as_slice())
        .bind(row.created_at.as_millisecond())
        .bind(&row.created_by)
        .execute(self)
        .await?;
        Ok(())
    }

    async fn revoke_credential(&mut self, name: &str, now: Timestamp) -> Result<(), Error> {
        sqlx::query("UPDATE gateway_credentials SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL")
            .bind(now.as_millisecond())
            .bind(name)
            .execute(self)
            .await?;
        Ok(())
    }
}

fn read(row: &SqliteRow) -> Result<StoredCredential, Error> {
    let revoked_at: Option<i64> = row.try_get("revoked_at")?;
    Ok(StoredCredential {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        created_at: timestamp(row.try_get("created_at")?)?,
        created_by: row.try_get("created_by")?,
        revoked_at: revoked_at.map(timestamp).transpose()?,
    })
}
