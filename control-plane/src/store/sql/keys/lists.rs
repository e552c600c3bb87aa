//! Lists of keys: what a filter asks for, in SQL, and what is looked at for it.

use std::collections::HashMap;

use jiff::Timestamp;

use super::ranges::{self, Range};
use super::{FROM, SELECT, key};
use crate::domain::error::Error;
use crate::domain::fold::fold;
use crate::domain::keys::{Key, KeyFilter, KeyOrder, Status};
use crate::domain::usage::minute_of;
use crate::store::sql::candidates::Candidates;
use crate::store::sql::statement::{Dialect, Sql, Statement, Value};
use crate::store::sql::values::unsigned;

/// How a list is sorted. Each is the order of an index, but for what was searched: that is looked at whole anyway.
pub(super) const fn order(filter: &KeyFilter) -> &'static str {
    match (filter.order, filter.status) {
        // Those that candidates come in have their order from them.
        (KeyOrder::Newest | KeyOrder::LatestRefused | KeyOrder::LongestUnused, _) => "k.seq DESC",
        (KeyOrder::Oldest, _) => "k.seq",
        (KeyOrder::Ends, Some(Status::Expired)) => "k.expires_at DESC, k.seq DESC",
        (KeyOrder::Ends, _) => "k.expires_at NULLS LAST, k.seq",
        (KeyOrder::WorkingFirst, _) => "k.listed DESC, k.seq DESC",
    }
}

/// Keys of those that an index has found, in its order.
pub(super) async fn few<S: Sql>(
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
        restrict(&mut find, S::DIALECT, filter, now, Some(&some));
        let mut keys: Vec<Key> = sql.rows(find).await?.iter().map(key).collect::<Result<_, _>>()?;
        let places: HashMap<_, _> = some.iter().enumerate().map(|(place, seq)| (*seq, place)).collect();
        keys.sort_by_key(|key| places.get(&key.seq).copied());
        found.append(&mut keys);
    }
    Ok(found.into_iter().skip(filter.offset as usize).take(limit as usize).collect())
}

/// Keys of ranges, one after the other, until there are enough.
pub(super) async fn looked_at<S: Sql>(
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
        let is_plain = range.is_exact() && !is_narrowed(filter);
        let (rows, offset) =
            if is_plain { ((left.saturating_add(limit), before), 0) } else { ((look, 0), before) };
        // What belongs to a key beside its row is looked up for those that are shown only.
        let (before_keys, behind) = FROM.split_once("api_keys").unwrap_or((FROM, ""));
        let mut find = Statement::new(SELECT);
        find.push(before_keys).push("(SELECT *");
        push_range(&mut find, S::DIALECT, filter, range, now, rows);
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
pub(super) async fn count_looked_at<S: Sql>(
    sql: &mut S,
    filter: &KeyFilter,
    range: Range,
    look: u32,
    now: Timestamp,
) -> Result<u64, Error> {
    let mut count = Statement::new("SELECT count(*) AS n");
    push_range(&mut count, S::DIALECT, filter, range, now, (look.saturating_add(1), 0));
    unsigned(sql.number(count).await?)
}

fn push_range(
    sql: &mut Statement,
    dialect: Dialect,
    filter: &KeyFilter,
    range: Range,
    now: Timestamp,
    rows: (u32, u32),
) {
    sql.push(" FROM ");
    range.push(sql, filter, now, rows);
    sql.push(" k WHERE TRUE");
    range.push_rest(sql, now);
    narrow(sql, dialect, filter);
}

/// `few`: only these.
pub(super) fn restrict(
    sql: &mut Statement,
    dialect: Dialect,
    filter: &KeyFilter,
    now: Timestamp,
    few: Option<&[i64]>,
) {
    sql.push(FROM);
    if let Some(few) = few {
        sql.push(" WHERE k.seq IN (").push_list(few.iter().map(|seq| Value::from(*seq))).push(")");
    } else {
        sql.push(" WHERE TRUE");
    }
    if let Some(since) = filter.unused_since {
        // Never used is unused since it was made.
        sql.push(" AND COALESCE(u.last_used_at, k.created_at / 60000) < ").push_bind(minute_of(since));
        active(sql, now);
    }
    if filter.refused_since.is_some() {
        sql.push(" AND (k.revoked_at IS NOT NULL OR k.expires_at <= ").push_bind(now.as_second()).push(")");
    }
    if let Some(before) = filter.before {
        sql.push(" AND k.seq < ").push_bind(before);
    }
    if let Some(seq) = filter.workspace_seq {
        sql.push(" AND k.workspace_seq = ").push_bind(seq);
    }
    narrow(sql, dialect, filter);
    if let Some(before) = filter.ends_before {
        sql.push(" AND k.expires_at < ").push_bind(before.as_second());
    }
    match filter.status {
        None => {}
        Some(Status::Revoked) => {
            sql.push(" AND k.revoked_at IS NOT NULL");
        }
        Some(Status::Expired) => {
            sql.push(" AND k.revoked_at IS NULL AND k.expires_at <= ").push_bind(now.as_second());
        }
        Some(Status::Active) => active(sql, now),
    }
}

/// What no range of an index leaves out.
fn narrow(sql: &mut Statement, dialect: Dialect, filter: &KeyFilter) {
    if let Some(environment) = filter.environment {
        sql.push(" AND k.environment = ").push_bind(environment.as_str());
    }
    if let Some(text) = &filter.search {
        // Not LIKE: nothing in what people type is special.
        sql.push(&format!(" AND {}(k.folded, ", dialect.contains())).push_bind(fold(text)).push(") > 0");
    }
    if let Some(hint) = &filter.hint {
        sql.push(" AND k.hint = ").push_bind(hint.clone());
    }
    if let Some(by) = &filter.created_by {
        sql.push(" AND k.created_by = ").push_bind(by.clone());
    }
}

const fn is_narrowed(filter: &KeyFilter) -> bool {
    filter.environment.is_some()
        || filter.search.is_some()
        || filter.hint.is_some()
        || filter.created_by.is_some()
}

/// What was revoked is not listed. So this is a range of `api_keys_active`, whatever else the workspace once had.
fn active(sql: &mut Statement, now: Timestamp) {
    sql.push(" AND k.listed = 1 AND (k.expires_at IS NULL OR k.expires_at > ");
    sql.push_bind(now.as_second()).push(")");
}
