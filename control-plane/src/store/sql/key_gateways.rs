//! Rows of `key_gateways`: the gateways where a key was used last.

use std::collections::BTreeMap;

use super::columns::Columns as _;
use super::statement::{ROWS_PER_STATEMENT, Sql, Statement, Value};
use crate::domain::error::Error;
use crate::domain::usage::{GatewayChanges, KeyGateway, Minute};

/// Those of these keys.
pub async fn of(sql: &mut impl Sql, keys: &[i64]) -> Result<Vec<KeyGateway>, Error> {
    let mut found = Vec::new();
    for chunk in keys.chunks(ROWS_PER_STATEMENT) {
        let mut find =
            Statement::new("SELECT key_seq, gateway, last_used_at FROM key_gateways WHERE key_seq IN (");
        find.push_list(chunk.iter().map(|seq| Value::from(*seq))).push(")");
        for row in sql.rows(find).await? {
            let (key_seq, hour) = (row.number("key_seq")?, row.number("last_used_at")?);
            found.push(KeyGateway { key_seq, gateway: row.text("gateway")?, hour });
        }
    }
    Ok(found)
}

/// Adds where keys were used, by key and gateway. Within an hour there is nothing to write.
pub async fn add(sql: &mut impl Sql, used: &BTreeMap<(i64, String), Minute>) -> Result<(), Error> {
    let mut keys: Vec<_> = used.keys().map(|(key_seq, _)| *key_seq).collect();
    keys.dedup();
    let GatewayChanges { set, gone } = GatewayChanges::new(of(sql, &keys).await?, used);
    for chunk in set.chunks(ROWS_PER_STATEMENT) {
        let mut insert = Statement::new("INSERT INTO key_gateways (key_seq, gateway, last_used_at) VALUES ");
        for (place, KeyGateway { key_seq, gateway, hour }) in chunk.iter().enumerate() {
            insert.push(if place == 0 { "(" } else { ", (" });
            insert.push_list([(*key_seq).into(), gateway.into(), (*hour).into()]).push(")");
        }
        insert.push(
            " ON CONFLICT (key_seq, gateway) DO UPDATE SET last_used_at = excluded.last_used_at
              WHERE excluded.last_used_at > key_gateways.last_used_at",
        );
        sql.run(insert).await?;
    }
    for KeyGateway { key_seq, gateway, .. } in &gone {
        let delete = Statement::new("DELETE FROM key_gateways WHERE key_seq = $1 AND gateway = $2");
        sql.run(delete.bind(Value::from(*key_seq)).bind(gateway)).await?;
    }
    Ok(())
}
