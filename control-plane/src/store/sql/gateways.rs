//! Rows of `gateways`: what survives a restart of the registry of gateways.

use async_trait::async_trait;

use super::columns::Columns;
use super::statement::{Sql, Statement};
use super::values::timestamp;
use crate::domain::error::Error;
use crate::domain::gateways::StoredGateway;
use crate::store::seam::gateways::{ReadGateways, WriteGateways};

#[async_trait]
impl<S: Sql> ReadGateways for S {
    async fn newest_gateways(&mut self, most: usize) -> Result<Vec<StoredGateway>, Error> {
        let sql = "SELECT id, session, version, connected, first_seen, last_seen FROM gateways \
            ORDER BY last_seen DESC, id LIMIT $1";
        let most = i64::try_from(most).map_err(Error::internal)?;
        self.rows(Statement::new(sql).bind(most)).await?.iter().map(read).collect()
    }
}

#[async_trait]
impl<S: Sql> WriteGateways for S {
    async fn save_gateways(&mut self, gateways: &[StoredGateway]) -> Result<(), Error> {
        for gateway in gateways {
            let save = Statement::new(
                "INSERT INTO gateways (id, session, version, connected, first_seen, last_seen)
                 VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (id) DO UPDATE SET session = excluded.session, version = excluded.version,
                     connected = excluded.connected, first_seen = excluded.first_seen, last_seen = excluded.last_seen",
            )
            .bind(&gateway.id)
            .bind(gateway.session.as_ref().map(|session| session.as_slice()))
            .bind(&gateway.version)
            .bind(i64::from(gateway.connected))
            .bind(gateway.first_seen.as_millisecond())
            .bind(gateway.last_seen.as_millisecond());
            self.run(save).await?;
        }
        Ok(())
    }

    async fn forget_gateways(&mut self, ids: &[String]) -> Result<(), Error> {
        for id in ids {
            self.run(Statement::new("DELETE FROM gateways WHERE id = $1").bind(id)).await?;
        }
        Ok(())
    }
}

fn read(row: &impl Columns) -> Result<StoredGateway, Error> {
    Ok(StoredGateway {
        id: row.text("id")?,
        session: row.maybe_bytes("session")?.and_then(|session| session.try_into().ok()),
        version: row.maybe_text("version")?,
        connected: row.flag("connected")?,
        first_seen: timestamp(row.number("first_seen")?)?,
        last_seen: timestamp(row.number("last_seen")?)?,
    })
}
