//! Rows of `key_usage`, `workspace_usage`, `key_uses` and `usage_cursors`: what keys are used for. Several write at the same time, so rows
//! are always taken in the order of their keys.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::columns::Columns;
use super::statement::{ROWS_PER_STATEMENT, Sql, Statement, Value};
use super::values::{signed, unsigned};
use super::{idle_keys, key_gateways};
use crate::domain::error::Error;
use crate::domain::usage::{Bucket, KeyGateway, KeyRow, Minute, Period, Rows, Step, Tally, Use, minute_of};
use crate::store::seam::shadow::WriteShadow as _;
use crate::store::seam::usage::{ReadUsage, WriteUsage};

pub(super) const COUNTS: &str =
    "admitted, rate_limited, forbidden, expired, environment, revoked, shadow_limited, shadow_refused";

#[async_trait]
impl<S: Sql> ReadUsage for S {
    async fn key_rows(&mut self, ids: &[String]) -> Result<Vec<(String, KeyRow)>, Error> {
        let mut found = Vec::new();
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            let mut sql = Statement::new("SELECT id, seq, workspace_seq FROM api_keys WHERE id IN (");
            sql.push_list(chunk.iter().map(Value::from)).push(")");
            for row in self.rows(sql).await? {
                let key = KeyRow { seq: row.number("seq")?, workspace_seq: row.number("workspace_seq")? };
                found.push((row.text("id")?, key));
            }
        }
        Ok(found)
    }

    async fn usage_of_key(&mut self, key_seq: i64, period: &Period) -> Result<Vec<Bucket>, Error> {
        buckets(self, "key_usage WHERE key_seq", key_seq, period).await
    }

    async fn usage_of_workspace(
        &mut self,
        workspace_seq: i64,
        period: &Period,
    ) -> Result<Vec<Bucket>, Error> {
        buckets(self, "workspace_usage WHERE workspace_seq", workspace_seq, period).await
    }

    async fn busiest_keys(
        &mut self,
        workspace_seq: i64,
        from: Minute,
        to: Minute,
        most: u32,
    ) -> Result<Vec<(String, Tally)>, Error> {
        let (mut keys, first) = (BTreeSet::new(), Step::Day.start(from));
        let mut day = first;
        while day < to {
            let busiest = Statement::new(
                "SELECT key_seq FROM key_usage WHERE step = 1440 AND workspace_seq = $1 AND start = $2
                 ORDER BY admitted DESC LIMIT $3",
            );
            for row in self.rows(busiest.bind(workspace_seq).bind(day).bind(most)).await? {
                keys.insert(row.number("key_seq")?);
            }
            day += Step::Day.minutes();
        }
        let days = Period { step: Step::Day, from: first, to };
        let mut all = Vec::new();
        for seq in keys {
            let buckets = self.usage_of_key(seq, &days).await?;
            let id = self.row(Statement::new("SELECT id FROM api_keys WHERE seq = $1").bind(seq)).await?;
            if let Some(id) = id {
                all.push((id.text("id")?, Tally::sum(buckets.iter().map(|bucket| &bucket.tally))));
            }
        }
        all.sort_by_key(|(_, tally)| Reverse((tally.admitted, tally.total())));
        all.truncate(most as usize);
        Ok(all)
    }

    async fn usage_since(&mut self) -> Result<Option<Minute>, Error> {
        since(self).await
    }

    async fn gateways_of_keys(&mut self, keys: &[i64]) -> Result<Vec<KeyGateway>, Error> {
        key_gateways::of(self, keys).await
    }
}

#[async_trait]
impl<S: Sql> WriteUsage for S {
    async fn take_usage_number(
        &mut self,
        credential: &str,
        session: &[u8; 32],
        sequence: u64,
        now: Timestamp,
    ) -> Result<bool, Error> {
        // One statement: the same post may come to two control planes.
        let take = Statement::new(
            "INSERT INTO usage_cursors (credential, session, sequence, seen_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (credential, session) DO UPDATE SET sequence = excluded.sequence, seen_at = excluded.seen_at
                 WHERE usage_cursors.sequence < excluded.sequence",
        );
        let take = take.bind(credential).bind(&session[..]).bind(signed(sequence)?).bind(minute_of(now));
        Ok(self.run(take).await? > 0)
    }

    async fn add_usage(&mut self, rows: &Rows, now: Timestamp) -> Result<(), Error> {
        // A post is acknowledged once it is counted; it never comes again.
        if let Some(durable) = S::DIALECT.durable() {
            self.run(Statement::new(durable)).await?;
        }
        let begin =
            "INSERT INTO usage_log (only_row, since) VALUES (1, $1) ON CONFLICT (only_row) DO NOTHING";
        self.run(Statement::new(begin).bind(minute_of(now))).await?;
        let keys = rows.keys.iter().map(|((key, workspace, step, start), tally)| {
            (vec![*key, step.minutes(), *start, *workspace], *tally)
        });
        add(self, "key_usage", "key_seq, step, start", ", workspace_seq", keys.collect()).await?;
        let workspaces = rows
            .workspaces
            .iter()
            .map(|((workspace, step, start), tally)| (vec![*workspace, step.minutes(), *start], *tally));
        add(self, "workspace_usage", "workspace_seq, step, start", "", workspaces.collect()).await?;
        move_forward(self, "last_used", &rows.used).await?;
        move_forward(self, "last_refused", &rows.refused).await?;
        idle_keys::used(self, &rows.used).await?;
        key_gateways::add(self, &rows.gateways).await?;
        self.add_shadow(&rows.shadow).await
    }

    async fn follow_keys(&mut self, most: u32) -> Result<bool, Error> {
        idle_keys::follow(self, most).await
    }

    async fn forget_usage(&mut self, step: Step, before: Minute, limit: u32) -> Result<u64, Error> {
        let mut gone = 0;
        for (table, owner) in [("key_usage", "key_seq"), ("workspace_usage", "workspace_seq")] {
            let forget = format!(
                "DELETE FROM {table} WHERE ({owner}, step, start) IN
                     (SELECT {owner}, step, start FROM {table} WHERE step = $1 AND start < $2 LIMIT $3)"
            );
            gone += self.run(Statement::new(forget).bind(step.minutes()).bind(before).bind(limit)).await?;
        }
        Ok(gone)
    }

    async fn forget_usage_numbers(&mut self, before: Timestamp, most: u32) -> Result<(), Error> {
        let old = Statement::new("DELETE FROM usage_cursors WHERE seen_at < $1").bind(minute_of(before));
        self.run(old).await?;
        let many = Statement::new(
            "DELETE FROM usage_cursors WHERE (credential, session) IN
                 (SELECT credential, session FROM
                     (SELECT credential, session, row_number() OVER (PARTITION BY credential ORDER BY seen_at DESC, session)
                          AS place FROM usage_cursors) AS placed
                  WHERE place > $1)",
        );
        self.run(many.bind(most)).await.map(drop)
    }
}

/// Buckets of the table and owner that `of` says.
async fn buckets<S: Sql>(
    connection: &mut S,
    of: &str,
    owner: i64,
    period: &Period,
) -> Result<Vec<Bucket>, Error> {
    let sql = format!(
        "SELECT start, {COUNTS} FROM {of} = $1 AND step = $2 AND start >= $3 AND start < $4 ORDER BY start"
    );
    let find = Statement::new(sql).bind(owner).bind(period.step.minutes()).bind(period.from).bind(period.to);
    let bucket = |row: &S::Row| Ok(Bucket { start: row.number("start")?, tally: tally(row)? });
    connection.rows(find).await?.iter().map(bucket).collect()
}

pub(super) fn tally(row: &impl Columns) -> Result<Tally, Error> {
    let mut counts = [0; Tally::NAMES.len()];
    for (count, name) in counts.iter_mut().zip(Tally::NAMES) {
        *count = unsigned(row.number(name)?)?;
    }
    Ok(Tally::of(counts).believed())
}

/// Adds counts to the rows that are there, and makes those that are not. `rows` have the columns of `key` and `more` first.
async fn add<S: Sql>(
    connection: &mut S,
    table: &str,
    key: &str,
    more: &str,
    rows: Vec<(Vec<i64>, Tally)>,
) -> Result<(), Error> {
    let sums = Tally::NAMES.map(|name| format!("{name} = {table}.{name} + excluded.{name}")).join(", ");
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        let mut sql = Statement::new(format!("INSERT INTO {table} ({key}{more}, {COUNTS}) VALUES "));
        for (place, (row, tally)) in chunk.iter().enumerate() {
            let mut values: Vec<Value> = row.iter().map(|number| Value::from(*number)).collect();
            for count in tally.counts() {
                values.push(signed(count)?.into());
            }
            sql.push(if place == 0 { "(" } else { ", (" }).push_list(values).push(")");
        }
        sql.push(&format!(" ON CONFLICT ({key}) DO UPDATE SET {sums}"));
        connection.run(sql).await?;
    }
    Ok(())
}

/// When counting began.
pub(super) async fn since(sql: &mut impl Sql) -> Result<Option<Minute>, Error> {
    let row = sql.row(Statement::new("SELECT since FROM usage_log")).await?;
    row.map(|row| row.number("since")).transpose()
}

/// Moves `<what>_at` and `<what>_by` of keys on to what is later.
async fn move_forward(connection: &mut impl Sql, what: &str, uses: &BTreeMap<i64, Use>) -> Result<(), Error> {
    let uses: Vec<_> = uses.values().collect();
    for chunk in uses.chunks(ROWS_PER_STATEMENT) {
        let columns = format!("key_seq, workspace_seq, {what}_at, {what}_by");
        let mut sql = Statement::new(format!("INSERT INTO key_uses ({columns}) VALUES "));
        for (place, last) in chunk.iter().enumerate() {
            let Use { key_seq, workspace_seq, minute, gateway } = last;
            let values = [(*key_seq).into(), (*workspace_seq).into(), (*minute).into(), gateway.into()];
            sql.push(if place == 0 { "(" } else { ", (" }).push_list(values).push(")");
        }
        sql.push(&format!(
            " ON CONFLICT (key_seq) DO UPDATE SET {what}_at = excluded.{what}_at, {what}_by = excluded.{what}_by,
                  workspace_seq = excluded.workspace_seq
              WHERE excluded.{what}_at > COALESCE(key_uses.{what}_at, -1)"
        ));
        connection.run(sql).await?;
    }
    Ok(())
}
