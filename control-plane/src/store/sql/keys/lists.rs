//! Lists of keys: what a filter asks for, in SQL, and what is looked at for it.

use jiff::Timestamp;

use super::ranges::{Range, is_of_plan};
use crate::domain::fold::fold;
use crate::domain::keys::{KeyFilter, KeyOrder, Status};
use crate::domain::usage::minute_of;
use crate::store::sql::statement::{Dialect, Statement, Value};

/// A key, its workspace, and its use.
pub(super) const FROM: &str = " FROM api_keys k JOIN workspaces w ON w.seq = k.workspace_seq
    LEFT JOIN key_uses u ON u.key_seq = k.seq";

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

/// The rows of a range that the filter leaves.
pub(super) fn push_range(
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
    if let Some(plan) = &filter.plan {
        sql.push(" AND k.plan = ").push_bind(plan.clone());
    }
    if filter.shadow {
        sql.push(" AND k.shadow = 1");
    }
    if let Some(hint) = &filter.hint {
        sql.push(" AND k.hint = ").push_bind(hint.clone());
    }
    if let Some(by) = &filter.created_by {
        sql.push(" AND k.created_by = ").push_bind(by.clone());
    }
}

/// Whether something is asked that no index knows.
pub(super) const fn is_narrowed(filter: &KeyFilter) -> bool {
    filter.environment.is_some()
        || filter.search.is_some()
        || (filter.plan.is_some() && !is_of_plan(filter))
        || filter.shadow
        || filter.hint.is_some()
        || filter.created_by.is_some()
}

/// What was revoked is not listed. So this is a range of `api_keys_active`, whatever else the workspace once had.
fn active(sql: &mut Statement, now: Timestamp) {
    sql.push(" AND k.listed = 1 AND (k.expires_at IS NULL OR k.expires_at > ");
    sql.push_bind(now.as_second()).push(")");
}
