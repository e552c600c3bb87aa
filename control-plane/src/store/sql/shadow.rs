//! Rows of `shadow_keys` and `shadow_reasons`. Several write at the same time, so rows are taken in the order of their keys.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::columns::Columns as _;
use super::statement::{ROWS_PER_STATEMENT, Sql, Statement, Value};
use super::values::{signed, unsigned};
use crate::domain::error::Error;
use crate::domain::shadow::{KeySum, ReasonSum};
use crate::domain::usage::{
    KeyShadow, MOST_GATEWAYS_A_DAY, Minute, OTHER_GATEWAYS, ReasonShadow, ShadowRows,
};
use crate::store::seam::shadow::{ReadShadow, WriteShadow};

const COUNTS: [&str; 4] = ["rate_limited", "forbidden", "expired", "environment"];

#[async_trait]
impl<S: Sql> ReadShadow for S {
    async fn shadowed_keys(
        &mut self,
        since: Minute,
        look: u32,
        offset: u32,
        limit: u32,
    ) -> Result<(Vec<KeySum>, u64), Error> {
        let sums = COUNTS.map(|name| format!("CAST(sum({name}) AS BIGINT) AS {name}")).join(", ");
        // No join: a server that joins both may rather read all keys. And ids of those that are shown only.
        let of_key = |column: &str, of: &str| {
            format!("(SELECT k.{column} FROM api_keys k WHERE k.seq = {of}.key_seq)")
        };
        let summed = format!(
            "(SELECT key_seq, {sums}, min(day) AS since, max(last_at) AS last_at
              FROM (SELECT * FROM shadow_keys WHERE day >= $1 ORDER BY day DESC, key_seq DESC LIMIT $2) AS newest
              GROUP BY key_seq) AS summed WHERE {} IS NULL",
            of_key("revoked_at", "summed")
        );
        let (id, counts) = (of_key("id", "page"), COUNTS.join(", "));
        let order = "ORDER BY last_at DESC, key_seq DESC";
        let find = Statement::new(format!(
            "SELECT {id} AS id, {counts}, since, last_at
             FROM (SELECT key_seq, {counts}, since, last_at FROM {summed} {order} LIMIT $3 OFFSET $4) AS page {order}"
        ));
        let rows = self.rows(find.bind(since).bind(look).bind(limit).bind(offset)).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut counts = [0; COUNTS.len()];
            for (count, name) in counts.iter_mut().zip(COUNTS) {
                *count = unsigned(row.number(name)?)?;
            }
            let [rate_limited, forbidden, expired, environment] = counts;
            let last = row.number("last_at")?;
            let shadow = KeyShadow { rate_limited, forbidden, expired, environment, last };
            found.push(KeySum { id: row.text("id")?, shadow, since: row.number("since")? });
        }
        let count = Statement::new(format!("SELECT count(*) AS n FROM {summed}"));
        let total = unsigned(self.number(count.bind(since).bind(look)).await?)?;
        Ok((found, total))
    }

    async fn shadowed_reasons(&mut self, since: Minute, look: u32) -> Result<Vec<ReasonSum>, Error> {
        let find = Statement::new(
            "SELECT gateway, reason, CAST(sum(requests) AS BIGINT) AS requests, min(day) AS since, max(last_at) AS last_at
             FROM (SELECT * FROM shadow_reasons WHERE day >= $1 ORDER BY day DESC, gateway DESC, reason DESC LIMIT $2) AS newest
             GROUP BY gateway, reason ORDER BY gateway, requests DESC, reason",
        );
        let sum = |row: &S::Row| {
            let (requests, last) = (unsigned(row.number("requests")?)?, row.number("last_at")?);
            Ok(ReasonSum {
                gateway: row.text("gateway")?,
                reason: row.text("reason")?,
                shadow: ReasonShadow { requests, last },
                since: row.number("since")?,
            })
        };
        self.rows(find.bind(since).bind(look)).await?.iter().map(sum).collect()
    }
}

#[async_trait]
impl<S: Sql> WriteShadow for S {
    async fn add_shadow(&mut self, rows: &ShadowRows) -> Result<(), Error> {
        let keys = rows.keys.iter().map(|((day, key_seq), shadow)| {
            let KeyShadow { rate_limited, forbidden, expired, environment, last } = *shadow;
            let counts = [rate_limited, forbidden, expired, environment];
            (vec![Value::from(*day), (*key_seq).into()], counts.to_vec(), last)
        });
        add(self, "shadow_keys", "day, key_seq", &COUNTS, keys.collect()).await?;
        let mut gateways: BTreeMap<(Minute, &str), Vec<_>> = BTreeMap::new();
        for ((day, gateway, reason), shadow) in &rows.reasons {
            gateways.entry((*day, gateway.as_str())).or_default().push((*reason, *shadow));
        }
        // One after the other: each counts for the next.
        for ((day, gateway), reasons) in gateways {
            let name = told_as(self, day, gateway).await?;
            let row = |(reason, shadow): (&str, ReasonShadow)| {
                let key = vec![day.into(), name.as_str().into(), reason.into()];
                (key, vec![shadow.requests], shadow.last)
            };
            let reasons = reasons.into_iter().map(row).collect();
            add(self, "shadow_reasons", "day, gateway, reason", &["requests"], reasons).await?;
        }
        Ok(())
    }

    async fn forget_shadow(&mut self, before: Minute, limit: u32) -> Result<u64, Error> {
        let mut gone = 0;
        for (table, key) in [("shadow_keys", "day, key_seq"), ("shadow_reasons", "day, gateway, reason")] {
            let forget = format!(
                "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE day < $1 ORDER BY {key} LIMIT $2)"
            );
            gone += self.run(Statement::new(forget).bind(before).bind(limit)).await?;
        }
        Ok(gone)
    }
}

/// The name under which a gateway is told on a day: its own, or that of the others of its credential when there are too many.
async fn told_as(sql: &mut impl Sql, day: Minute, gateway: &str) -> Result<String, Error> {
    let is_there = "SELECT 1 AS n FROM shadow_reasons WHERE day = $1 AND gateway = $2 LIMIT 1";
    if sql.row(Statement::new(is_there).bind(day).bind(gateway)).await?.is_some() {
        return Ok(gateway.to_owned());
    }
    let credential = gateway.split('/').next().unwrap_or_default();
    // Ids of a credential begin with its name and `/`, behind which `0` comes next.
    let count = "SELECT count(*) AS n FROM (SELECT DISTINCT gateway FROM shadow_reasons
         WHERE day = $1 AND gateway >= $2 AND gateway < $3) AS told";
    let count = Statement::new(count).bind(day).bind(format!("{credential}/")).bind(format!("{credential}0"));
    if unsigned(sql.number(count).await?)? < u64::from(MOST_GATEWAYS_A_DAY) {
        Ok(gateway.to_owned())
    } else {
        Ok(format!("{credential}/{OTHER_GATEWAYS}"))
    }
}

/// Adds counts to the rows that are there, and makes those that are not. Each has the columns of `key`, its counts, and its last minute.
async fn add(
    sql: &mut impl Sql,
    table: &str,
    key: &str,
    counts: &[&str],
    rows: Vec<(Vec<Value>, Vec<u64>, Minute)>,
) -> Result<(), Error> {
    let sums: Vec<_> =
        counts.iter().map(|name| format!("{name} = {table}.{name} + excluded.{name}")).collect();
    let later = format!(
        "last_at = CASE WHEN excluded.last_at > {table}.last_at THEN excluded.last_at ELSE {table}.last_at END"
    );
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        let columns = counts.join(", ");
        let mut insert = Statement::new(format!("INSERT INTO {table} ({key}, {columns}, last_at) VALUES "));
        for (place, (key, counts, last)) in chunk.iter().enumerate() {
            let mut values = key.clone();
            for count in counts {
                values.push(signed(*count)?.into());
            }
            values.push((*last).into());
            insert.push(if place == 0 { "(" } else { ", (" }).push_list(values).push(")");
        }
        insert.push(&format!(" ON CONFLICT ({key}) DO UPDATE SET {}, {later}", sums.join(", ")));
        sql.run(insert).await?;
    }
    Ok(())
}
