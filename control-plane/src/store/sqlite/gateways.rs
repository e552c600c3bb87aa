//! Rows of `gateways`: what survives a restart of the registry in [`crate::gateways`].

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::Tx;
use super::keys::timestamp;
use crate::error::Error;

/// A gateway as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRow {
    /// The name that it gives itself.
    pub id: String,
    /// Its program's version.
    pub version: Option<String>,
    /// Whether it was connected when this was written.
    pub connected: bool,
    /// Its first poll.
    pub first_seen: Timestamp,
    /// Its last poll.
    pub last_seen: Timestamp,
}

/// All of them.
pub async fn all(tx: &mut Tx) -> Result<Vec<GatewayRow>, Error> {
    let read = |row: &SqliteRow| {
        Ok(GatewayRow {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            connected: row.try_get("connected")?,
            first_seen: timestamp(row.try_get("first_seen")?)?,
            last_seen: timestamp(row.try_get("last_seen")?)?,
        })
    };
    sqlx::query("SELECT id, version, connected, first_seen, last_seen FROM gateways")
        .fetch_all(tx)
        .await?
        .iter()
        .map(read)
        .collect()
}

/// Stores these gateways.
pub async fn save(tx: &mut Tx, gateways: &[GatewayRow]) -> Result<(), Error> {
    for gateway in gateways {
        sqlx::query(
            "INSERT OR REPLACE INTO gateways (id, version, connected, first_seen, last_seen) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&gateway.id)
        .bind(&gateway.version)
        .bind(gateway.connected)
        .bind(gateway.first_seen.as_millisecond())
        .bind(gateway.last_seen.as_millisecond())
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Forgets gateways that were last seen before this moment.
pub async fn forget_before(tx: &mut Tx, moment: Timestamp) -> Result<(), Error> {
    sqlx::query("DELETE FROM gateways WHERE last_seen < ?").bind(moment.as_millisecond()).execute(tx).await?;
    Ok(())
}
