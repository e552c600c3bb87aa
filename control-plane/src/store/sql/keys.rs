//! Rows of `api_keys`: insert, find, list and the changes that take a revision.

mod lists;
mod ranges;

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;

use self::lists::FROM;
use super::candidates::Candidates;
use super::columns::Columns;
use super::statement::{Sql, Statement, Value};
use super::values::{
    end, enforced, environment, hash, limits, limits_json, restrict_json, restrictions, timestamp, unsigned,
};
use super::{changes, folded};
use crate::contract::{KeyHash, Limit, Restrict};
use crate::domain::error::Error;
use crate::domain::keys::key::NewKey;
use crate::domain::keys::{End, Key, KeyCounts, KeyFilter, Uses};
use crate::domain::lists::MOST_COUNTED;
use crate::domain::usage::time_of;
use crate::store::seam::keys::{ReadKeys, WriteKeys};

const SELECT: &str =
    "SELECT k.seq, k.id, k.workspace_seq, k.created_by, k.environment, k.name, k.note, k.hint, k.limits, k.restrictions, k.plan, k.shadow, k.created_at, k.expires_at,
        k.revoked_at, k.rotated_from, k.rotated_to, k.revision, w.id AS workspace, w.slug, w.default_limits, w.ceiling,
        w.workspace_limits, w.plan AS workspace_plan, u.last_used_at, u.last_used_by, u.last_refused_at, u.last_refused_by";

/// Most rows in one statement: 16 values each, and SQLite takes 32,766 values, PostgreSQL 65,535.
const ROWS_PER_INSERT: usize = 1_000;

#[async_trait]
impl<S: Sql> ReadKeys for S {
    async fn find_key(&mut self, id: &str) -> Result<Option<Key>, Error> {
        let find = format!("{SELECT}{FROM} WHERE k.id = $1");
        self.row(Statement::new(find).bind(id)).await?.as_ref().map(key).transpose()
    }

    async fn keys_of_hashes(&mut self, hashes: &[KeyHash]) -> Result<Vec<(KeyHash, Key)>, Error> {
        let mut found = Vec::new();
        for chunk in hashes.chunks(ROWS_PER_INSERT) {
            let mut sql = Statement::new(SELECT);
            sql.push(", k.hash").push(FROM).push(" WHERE k.hash IN (");
            sql.push_list(chunk.iter().map(|hash| Value::from(hash.0.to_vec()))).push(")");
            for row in self.rows(sql).await? {
                found.push((hash(row.bytes("hash")?)?, key(&row)?));
            }
        }
        Ok(found)
    }

    async fn keys_of_ids(&mut self, ids: &[String]) -> Result<Vec<Key>, Error> {
        let mut found = Vec::new();
        for chunk in ids.chunks(ROWS_PER_INSERT) {
            let mut sql = Statement::new(SELECT);
            sql.push(FROM).push(" WHERE k.id IN (");
            sql.push_list(chunk.iter().map(|id| Value::from(id.clone()))).push(")");
            for row in self.rows(sql).await? {
                found.push(key(&row)?);
            }
        }
        Ok(found)
    }

    async fn newest_rows(&mut self) -> Result<(i64, i64), Error> {
        let newest = async |sql: &mut Self, table: &str| {
            sql.number(Statement::new(format!("SELECT COALESCE(max(seq), 0) AS n FROM {table}"))).await
        };
        Ok((newest(self, "api_keys").await?, newest(self, "workspaces").await?))
    }

    async fn list_keys(&mut self, filter: &KeyFilter, now: Timestamp, limit: u32) -> Result<Vec<Key>, Error> {
        if let Some(candidates) = Candidates::of(self, filter).await? {
            return few(self, candidates, filter, now, limit).await;
        }
        if let Some(look) = filter.look {
            return looked_at(self, filter, look, now, limit).await;
        }
        let mut sql = Statement::new(SELECT);
        lists::restrict(&mut sql, S::DIALECT, filter, now, None);
        sql.push(" ORDER BY ").push(lists::order(filter)).push(" LIMIT ").push_bind(limit);
        sql.push(" OFFSET ").push_bind(filter.offset);
        self.rows(sql).await?.iter().map(key).collect()
    }

    async fn count_keys(&mut self, filter: &KeyFilter, now: Timestamp) -> Result<u64, Error> {
        let most = MOST_COUNTED.saturating_add(1);
        if let Some(mut candidates) = Candidates::of(self, filter).await? {
            let (mut count, mut looked) = (0, 0);
            while count < u64::from(most)
                && looked < filter.look.unwrap_or(u32::MAX) as usize
                && let Some(some) = candidates.next(self).await?
            {
                looked += some.len();
                let mut sql = Statement::new("SELECT count(*) AS n");
                lists::restrict(&mut sql, S::DIALECT, filter, now, Some(&some));
                count += unsigned(self.number(sql).await?)?;
            }
            return Ok(count.min(most.into()));
        }
        if let Some(look) = filter.look {
            let mut count = 0;
            for range in ranges::ranges(filter) {
                count += count_looked_at(self, filter, range, look, now).await?;
            }
            return Ok(count.min(most.into()));
        }
        let mut sql = Statement::new("SELECT count(*) AS n FROM (SELECT 1");
        lists::restrict(&mut sql, S::DIALECT, filter, now, None);
        sql.push(" LIMIT ").push_bind(most).push(") AS counted");
        unsigned(self.number(sql).await?)
    }

    async fn key_counts(&mut self, now: Timestamp) -> Result<KeyCounts, Error> {
        let count = Statement::new(
            "SELECT count(*) AS total, count(revoked_at) AS revoked,
                 count(*) FILTER (WHERE revoked_at IS NULL AND expires_at <= $1) AS expired FROM api_keys",
        );
        let row = self.row(count.bind(now.as_second())).await?;
        let row = row.ok_or_else(|| Error::internal("keys were not counted"))?;
        let (total, revoked, expired) =
            (row.number("total")?, row.number("revoked")?, row.number("expired")?);
        Ok(KeyCounts { active: total - revoked - expired, revoked, expired })
    }
}

#[async_trait]
impl<S: Sql> WriteKeys for S {
    async fn insert_keys(&mut self, keys: &[NewKey]) -> Result<(), Error> {
        for chunk in keys.chunks(ROWS_PER_INSERT) {
            let first = changes::take_revisions(self, chunk.len() as u64).await?;
            let mut sql = Statement::new(
                "INSERT INTO api_keys (id, hash, workspace_seq, environment, name, hint, limits, created_at, created_by,
                     expires_at, rotated_from, revision, folded, restrictions, plan, shadow) VALUES ",
            );
            for (key, revision) in chunk.iter().zip(first..) {
                sql.push(if revision == first { "(" } else { ", (" })
                    .push_list(row(key, revision)?)
                    .push(")");
            }
            self.run(sql).await?;
        }
        Ok(())
    }

    async fn rename_key(&mut self, key: &Key, name: &str) -> Result<(), Error> {
        let rename = Statement::new("UPDATE api_keys SET name = $1, folded = $2 WHERE seq = $3")
            .bind(name)
            .bind(folded::text(name, &key.hint, &key.id))
            .bind(key.seq);
        self.run(rename).await.map(drop)
    }

    async fn set_key_note(&mut self, seq: i64, note: Option<&str>) -> Result<(), Error> {
        let set = Statement::new("UPDATE api_keys SET note = $1 WHERE seq = $2");
        self.run(set.bind(note).bind(seq)).await.map(drop)
    }

    async fn set_rotated_to(&mut self, seq: i64, id: &str) -> Result<(), Error> {
        let set = Statement::new("UPDATE api_keys SET rotated_to = $1 WHERE seq = $2");
        self.run(set.bind(id).bind(seq)).await.map(drop)
    }

    async fn set_key_expiry(&mut self, seq: i64, expires_at: Option<End>) -> Result<(), Error> {
        let revision = changes::take_revisions(self, 1).await?;
        let set =
            Statement::new("UPDATE api_keys SET expires_at = $1, listed = 1, revision = $2 WHERE seq = $3");
        self.run(set.bind(expires_at.map(End::second)).bind(revision).bind(seq)).await.map(drop)
    }

    async fn set_key_limits(&mut self, seq: i64, limits: Option<&[Limit]>) -> Result<(), Error> {
        let revision = changes::take_revisions(self, 1).await?;
        let set = Statement::new("UPDATE api_keys SET limits = $1, revision = $2 WHERE seq = $3")
            .bind(limits.map(limits_json).transpose()?)
            .bind(revision)
            .bind(seq);
        self.run(set).await.map(drop)
    }

    async fn set_key_restrict(&mut self, seq: i64, restrict: Option<&Restrict>) -> Result<(), Error> {
        let revision = changes::take_revisions(self, 1).await?;
        let set = Statement::new("UPDATE api_keys SET restrictions = $1, revision = $2 WHERE seq = $3")
            .bind(restrict.map(restrict_json).transpose()?)
            .bind(revision)
            .bind(seq);
        self.run(set).await.map(drop)
    }

    async fn set_key_shadow(&mut self, seq: i64, shadow: bool) -> Result<(), Error> {
        let revision = changes::take_revisions(self, 1).await?;
        let set = Statement::new("UPDATE api_keys SET shadow = $1, revision = $2 WHERE seq = $3");
        self.run(set.bind(i64::from(shadow)).bind(revision).bind(seq)).await.map(drop)
    }

    async fn revoke_key(&mut self, seq: i64, now: Timestamp) -> Result<(), Error> {
        let revision = changes::take_revisions(self, 1).await?;
        let revoke =
            Statement::new("UPDATE api_keys SET revoked_at = $1, listed = 0, revision = $2 WHERE seq = $3");
        self.run(revoke.bind(now.as_millisecond()).bind(revision).bind(seq)).await.map(drop)
    }

    async fn list_by_clock(&mut self, listed: bool, now: Timestamp, limit: u32) -> Result<u64, Error> {
        let sql = if listed {
            "SELECT seq FROM api_keys WHERE listed = 0 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)
             ORDER BY seq LIMIT $2"
        } else {
            "SELECT seq FROM api_keys WHERE listed = 1 AND expires_at IS NOT NULL AND expires_at <= $1
             ORDER BY expires_at, seq LIMIT $2"
        };
        let found = self.rows(Statement::new(sql).bind(now.as_second()).bind(limit)).await?;
        if found.is_empty() {
            return Ok(0);
        }
        let first = changes::take_revisions(self, found.len() as u64).await?;
        for (row, revision) in found.iter().zip(first..) {
            let set = Statement::new("UPDATE api_keys SET listed = $1, revision = $2 WHERE seq = $3")
                .bind(i64::from(listed))
                .bind(revision)
                .bind(row.number("seq")?);
            self.run(set).await?;
        }
        Ok(found.len() as u64)
    }
}

/// The values of a new row.
fn row(key: &NewKey, revision: i64) -> Result<[Value; 16], Error> {
    Ok([
        (&key.id).into(),
        key.hash.0.to_vec().into(),
        key.workspace_seq.into(),
        key.environment.as_str().into(),
        (&key.name).into(),
        (&key.hint).into(),
        key.limits.as_deref().map(limits_json).transpose()?.into(),
        key.created_at.as_millisecond().into(),
        (&key.created_by).into(),
        key.expires_at.map(End::second).into(),
        (&key.rotated_from).into(),
        revision.into(),
        folded::text(&key.name, &key.hint, &key.id).into(),
        key.restrict.as_ref().map(restrict_json).transpose()?.into(),
        (&key.plan).into(),
        i64::from(key.shadow).into(),
    ])
}

/// Keys of those that an index has found, in its order.
async fn few<S: Sql>(
    sql: &mut S,
    mut candidates: Candidates,
    filter: &KeyFilter,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Key>, Error> {
    let (mut found, wanted) = (Vec::new(), filter.offset.saturating_add(limit) as usize);
    let mut looked = 0;
    while found.len() < wanted
        && looked < filter.look.unwrap_or(u32::MAX) as usize
        && let Some(some) = candidates.next(sql).await?
    {
        looked += some.len();
        let mut find = Statement::new(SELECT);
        lists::restrict(&mut find, S::DIALECT, filter, now, Some(&some));
        let mut keys: Vec<Key> = sql.rows(find).await?.iter().map(key).collect::<Result<_, _>>()?;
        let places: HashMap<_, _> = some.iter().enumerate().map(|(place, seq)| (*seq, place)).collect();
        keys.sort_by_key(|key| places.get(&key.seq).copied());
        found.append(&mut keys);
    }
    Ok(found.into_iter().skip(filter.offset as usize).take(limit as usize).collect())
}

/// Keys of ranges, one after the other, until there are enough.
async fn looked_at<S: Sql>(
    sql: &mut S,
    filter: &KeyFilter,
    look: u32,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Key>, Error> {
    let (mut found, mut before) = (Vec::new(), filter.offset);
    for range in ranges::ranges(filter) {
        let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(limit));
        // Where nothing else is asked, no more than are shown; and some more, should the clock have ended some just now.
        let is_plain = range.is_exact() && !lists::is_narrowed(filter);
        let (rows, offset) =
            if is_plain { ((left.saturating_add(limit), before), 0) } else { ((look, 0), before) };
        // What belongs to a key beside its row is looked up for those that are shown only.
        let (before_keys, behind) = FROM.split_once("api_keys").unwrap_or((FROM, ""));
        let mut find = Statement::new(SELECT);
        find.push(before_keys).push("(SELECT *");
        lists::push_range(&mut find, S::DIALECT, filter, range, now, rows);
        find.push(" ORDER BY ").push(range.order()).push(" LIMIT ").push_bind(left);
        find.push(" OFFSET ").push_bind(offset).push(")").push(behind);
        find.push(" ORDER BY ").push(range.order());
        let rows = sql.rows(find).await?;
        for row in &rows {
            found.push(key(row)?);
        }
        if rows.len() >= left as usize {
            break;
        }
        before = if rows.is_empty() && before > 0 {
            let of_this = count_looked_at(sql, filter, range, look, now).await?;
            before.saturating_sub(u32::try_from(of_this).unwrap_or(u32::MAX))
        } else {
            0
        };
    }
    Ok(found)
}

/// How many keys of a range the filter leaves.
async fn count_looked_at<S: Sql>(
    sql: &mut S,
    filter: &KeyFilter,
    range: ranges::Range,
    look: u32,
    now: Timestamp,
) -> Result<u64, Error> {
    let mut count = Statement::new("SELECT count(*) AS n");
    lists::push_range(&mut count, S::DIALECT, filter, range, now, (look.saturating_add(1), 0));
    unsigned(sql.number(count).await?)
}

fn key(row: &impl Columns) -> Result<Key, Error> {
    let own = row.maybe_text("limits")?.map(limits).transpose()?;
    let plan = row.maybe_text("plan")?;
    let base = match (&own, &plan) {
        (Some(own), _) => own.clone(),
        // The plan's come at the gateway.
        (None, Some(_)) => Vec::new(),
        (None, None) => limits(row.text("default_limits")?)?,
    };
    Ok(Key {
        seq: row.number("seq")?,
        id: row.text("id")?,
        workspace: row.text("workspace")?,
        workspace_seq: row.number("workspace_seq")?,
        created_by: row.maybe_text("created_by")?,
        workspace_slug: row.text("slug")?,
        environment: environment(row.text("environment")?)?,
        name: row.text("name")?,
        note: row.maybe_text("note")?,
        hint: row.text("hint")?,
        own_limits: own,
        limits: enforced(row, base)?,
        restrict: restrictions(row)?,
        plan,
        workspace_plan: row.maybe_text("workspace_plan")?,
        shadow: row.flag("shadow")?,
        created_at: timestamp(row.number("created_at")?)?,
        expires_at: row.maybe_number("expires_at")?.map(end).transpose()?,
        revoked_at: row.maybe_number("revoked_at")?.map(timestamp).transpose()?,
        rotated_from: row.maybe_text("rotated_from")?,
        rotated_to: row.maybe_text("rotated_to")?,
        revision: row.maybe_number("revision")?.map(unsigned).transpose()?,
        uses: Uses {
            last_used_at: row.maybe_number("last_used_at")?.and_then(time_of),
            last_used_by: row.maybe_text("last_used_by")?,
            last_refused_at: row.maybe_number("last_refused_at")?.and_then(time_of),
            last_refused_by: row.maybe_text("last_refused_by")?,
        },
    })
}
