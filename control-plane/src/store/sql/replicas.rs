//! Rows of `replicas`, and what replicas find of each other. Times are the database's: what comes in and goes out are durations
//! from now.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;

use super::columns::Columns;
use super::dialect::{duration, millis, sql};
use super::shared_gateways::{from_the_beginning, gateway, rows_of_others, write};
use super::statement::{Sql, Statement};
use super::values::{signed, timestamp, unsigned};
use crate::domain::error::Error;
use crate::domain::replicas::{ALIVE, Publication, Published, Replica, Sight};
use crate::store::seam::replicas::{ReadReplicas, WriteReplicas};

/// How long rows stay that say only that somebody is gone. Whoever has not looked for so long looks from the beginning.
const KEPT: Duration = Duration::from_secs(3_600);

/// The same of gateways that never had a table. Who has missed that they are gone counts on them for nothing, and anybody can invent them.
const KEPT_NEW: Duration = Duration::from_secs(60);

#[async_trait]
impl<S: Sql> ReadReplicas for S {
    async fn look(&mut self, me: &str, seen: &HashMap<String, u64>, ids: &[String]) -> Result<Sight, Error> {
        let (me, seen, ids) = (me.to_owned(), seen.clone(), ids.to_vec());
        self.at_one_moment(move |one| Box::pin(async move { look(one, &me, &seen, &ids).await })).await
    }
}

#[async_trait]
impl<S: Sql> WriteReplicas for S {
    async fn publish(&mut self, said: &Publication) -> Result<Published, Error> {
        if !is_of_this_history(self, &said.rests_on).await? {
            return Ok(Published::OtherHistory);
        }
        let Some(was_alive) = beat(self, said).await? else { return Ok(Published::Superseded) };
        if let Some(id) = &said.instead_of {
            self.remove_replica(id).await?;
        }
        let mut lost: Vec<String> = said.gateways.iter().map(|line| line.gateway.id.clone()).collect();
        if !lost.is_empty() {
            let written = write(self, said).await?;
            lost.retain(|id| !written.contains(id));
        }
        Ok(Published::Done { was_alive, lost })
    }

    async fn remove_replica(&mut self, id: &str) -> Result<(), Error> {
        // As if it had been silent for too long. The row stays for a while, for who has not seen yet what it wrote last.
        let sql = sql::<Self>("UPDATE replicas SET heartbeat = NOW_MS - $2, polls = 0 WHERE id = $1");
        self.run(Statement::new(sql).bind(id).bind(millis(ALIVE) + 1)).await.map(drop)
    }

    async fn forget_dead_replicas(&mut self) -> Result<(), Error> {
        let is_gone = "forgotten = 1 AND leaving_until < NOW_MS - $1";
        for (table, gone, kept) in [
            ("replicas", "heartbeat < NOW_MS - $1", KEPT),
            ("gateways", is_gone, KEPT),
            ("gateways", &format!("has_table = 0 AND {is_gone}"), KEPT_NEW),
        ] {
            let rows =
                format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {gone} UNLOCKED)");
            self.run(Statement::new(sql::<Self>(&rows)).bind(millis(kept))).await?;
        }
        Ok(())
    }
}

async fn is_of_this_history<S: Sql>(tx: &mut S, rests_on: &[(u64, String)]) -> Result<bool, Error> {
    for (revision, tag) in rests_on {
        let sql = "SELECT count(*) AS n FROM revision_tags WHERE revision = $1 AND tag = $2";
        if tx.number(Statement::new(sql).bind(signed(*revision)?).bind(tag)).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Notes that the replica is there: whether the others could know that it still was. `None` when its count is not the next one.
async fn beat<S: Sql>(tx: &mut S, said: &Publication) -> Result<Option<bool>, Error> {
    let (beat, head) = (signed(said.beat)?, signed(said.head)?);
    if said.beat == 1 {
        let sql = sql::<S>(
            "INSERT INTO replicas (id, version, started_at, heartbeat, beat, head, polls) VALUES ($1, $2, $3, NOW_MS, $4, $5, $6) \
             ON CONFLICT (id) DO NOTHING",
        );
        let insert = Statement::new(sql).bind(&said.replica).bind(&said.version);
        let insert = insert.bind(said.started_at.as_millisecond()).bind(beat).bind(head).bind(said.polls);
        // It is there when the answer to its first commit was lost.
        return Ok((tx.run(insert).await? == 1).then_some(false));
    }
    let silence = sql::<S>("SELECT NOW_MS - heartbeat AS n FROM replicas WHERE id = $1 AND beat = $2");
    let Some(row) = tx.row(Statement::new(silence).bind(&said.replica).bind(beat - 1)).await? else {
        return Ok(None);
    };
    let was_alive = row.number("n")? <= millis(ALIVE);
    let sql = sql::<S>(
        "UPDATE replicas SET heartbeat = NOW_MS, beat = $2, head = $3, polls = $4 WHERE id = $1 AND beat = $2 - 1",
    );
    let update = Statement::new(sql).bind(&said.replica).bind(beat).bind(head).bind(said.polls);
    Ok((tx.run(update).await? == 1).then_some(was_alive))
}

async fn look<S: Sql>(
    one: &mut S,
    me: &str,
    seen: &HashMap<String, u64>,
    ids: &[String],
) -> Result<Sight, Error> {
    let sql_all = sql::<S>(
        "SELECT id, version, started_at, beat, head, polls, NOW_MS - heartbeat AS age, NOW_MS AS now FROM replicas ORDER BY started_at, id",
    );
    let rows = one.rows(Statement::new(sql_all)).await?;
    let at = rows.first().map(|row| timestamp(row.number("now")?)).transpose()?;
    let replicas: Vec<_> = rows.iter().map(replica).collect::<Result<_, _>>()?;
    let mut gateways = if seen.is_empty() { from_the_beginning(one, me).await? } else { Vec::new() };
    let mut rows = rows_of_others::<S>(me);
    rows.push(" AND (1 = 0");
    let mut asks = false;
    // From the beginning nothing is left to ask for of those.
    for replica in replicas.iter().filter(|replica| replica.id != me && !seen.is_empty()) {
        let since = seen.get(&replica.id).copied().unwrap_or_default();
        if replica.beat > since {
            asks = true;
            rows.push(" OR (g.keeper = ").push_bind(&replica.id);
            rows.push(" AND g.beat > ").push_bind(signed(since)?).push(")");
        }
    }
    let found: HashSet<&str> = gateways.iter().map(|gateway| gateway.id.as_str()).collect();
    let missing: Vec<_> = ids.iter().filter(|id| !found.contains(id.as_str())).collect();
    if !missing.is_empty() {
        asks = true;
        rows.push(" OR g.id IN (").push_list(missing.into_iter().map(Into::into)).push(")");
    }
    if asks {
        rows.push(")");
        let more: Result<Vec<_>, _> = one.rows(rows).await?.iter().map(gateway).collect();
        gateways.extend(more?);
    }
    Ok(Sight { at, replicas, gateways })
}

fn replica(row: &impl Columns) -> Result<Replica, Error> {
    Ok(Replica {
        id: row.text("id")?,
        version: row.text("version")?,
        started_at: timestamp(row.number("started_at")?)?,
        polls: u32::try_from(row.number("polls")?).map_err(Error::internal)?,
        head: unsigned(row.number("head")?)?,
        beat: unsigned(row.number("beat")?)?,
        age: duration(row.number("age")?),
    })
}
