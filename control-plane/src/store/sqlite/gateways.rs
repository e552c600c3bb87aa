//! Rows of `gateways`: what survives a restart of the registry of gateways.

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::values::timestamp;
use crate::domain::error::Error;
use crate::domain::gateways::StoredGateway;
use crate::store::seam::gateways::{ReadGateways, WriteGateways};

#[async_trait]
impl ReadGateways for SqliteConnection {
    async fn newest_gateways(&mut self, most: usize) -> Result<Vec<StoredGateway>, Error> {
        let read = |row: &SqliteRow| {
            let session: Option<Vec<u8>> = row.try_get("session")?;
            Ok(StoredGateway {
                id: row.try_get("id")?,
                session: session.and_then(|session| session.try_into().ok()),
                version: row.try_get("version")?,
                connected: row.try_get("connected")?,
                first_seen: timestamp(row.try_get("first_seen")?)?,
                last_seen: timestamp(row.try_get("last_seen")?)?,
            })
        };
        let sql = "SELECT id, session, version, connected, first_seen, last_seen FROM gateways \
            ORDER BY last_seen DESC LIMIT ?";
        let most = i64::try_from(most).map_err(Error::internal)?;
        sqlx::query(sql).bind(most).fetch_all(self).await?.iter().map(read).collect()
    }
}

#[async_trait]
impl WriteGateways for SqliteConnection {
    async fn save_gateways(&mut self, gateways: &[StoredGateway]) -> Result<(), Error> {
        for gateway in gateways {
            sqlx::query(
                "INSERT OR REPLACE INTO gateways (id, session, version, connected, first_seen, last_seen)
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(&gateway.id)
            .bind(gateway.session.as_ref().map(|session| session.as_slice()))
            .bind(&gateway.version)
            .bind(gateway.connected)
            .bind(gateway.first_seen.as_millisecond())
            .bind(gateway.last_seen.as_millisecond())
            .execute(&mut *self)
            .await?;
        }
        Ok(())
    }

    async fn forget_gateways(&mut self, ids: &[String]) -> Result<(), Error> {
        for id in ids {
            sqlx::query("DELETE FROM gateways WHERE id = ?").bind(id).execute(&mut *self).await?;
        }
        Ok(())
    }
}
