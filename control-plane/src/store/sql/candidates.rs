//! Keys that are found by their use, a window after the other: an index says which, and only their rows are looked at. In two steps, because a
//! server that joins both in one may rather read everything.

use super::columns::Columns as _;
use super::statement::{Sql, Statement};
use super::usage;
use crate::domain::error::Error;
use crate::domain::keys::{KeyFilter, KeyOrder};
use crate::domain::usage::{Minute, minute_of};

/// Rows in a window.
const WINDOW: u32 = 100;

/// What comes next.
pub struct Candidates {
    source: Source,
    workspace_seq: Option<i64>,
    /// Newest first, or in the source's order.
    newest_first: bool,
    /// The last one that was found; `None` at the end.
    last: Option<Place>,
}

#[derive(Clone, Copy)]
enum Source {
    /// Active keys that were not used since this minute, but for a day.
    Idle(Minute),
    /// Keys with which somebody came since then although they had ended.
    Refused(Minute),
    /// No key at all.
    Nothing,
}

#[derive(Clone, Copy)]
struct Place {
    minute: Minute,
    key_seq: i64,
}

impl Candidates {
    /// For a filter that asks for use; `None` for others.
    pub async fn of(sql: &mut impl Sql, filter: &KeyFilter) -> Result<Option<Self>, Error> {
        let source = match (filter.unused_since, filter.refused_since) {
            (None, None) if filter.order == KeyOrder::LongestUnused => Source::Idle(Minute::MAX),
            (None, None) => return Ok(None),
            (Some(since), None) => {
                // Of a time before anybody counted nothing is known.
                let counted = usage::since(sql).await?.is_some_and(|counted| counted < minute_of(since));
                if counted { Source::Idle(minute_of(since)) } else { Source::Nothing }
            }
            (None, Some(since)) => Source::Refused(minute_of(since)),
            // No key is active and has ended.
            (Some(_), Some(_)) => Source::Nothing,
        };
        let newest_first = match source {
            Source::Idle(_) => filter.order != KeyOrder::LongestUnused,
            Source::Refused(_) | Source::Nothing => filter.order != KeyOrder::LatestRefused,
        };
        let (minute, key_seq) = match source {
            _ if newest_first => (0, filter.before.unwrap_or(i64::MAX)),
            Source::Idle(_) => (Minute::MIN, i64::MIN),
            Source::Refused(_) | Source::Nothing => (Minute::MAX, i64::MAX),
        };
        let last = Some(Place { minute, key_seq });
        Ok(Some(Self { source, workspace_seq: filter.workspace_seq, newest_first, last }))
    }

    /// The rows of the next ones; `None` when there are no more.
    pub async fn next(&mut self, sql: &mut impl Sql) -> Result<Option<Vec<i64>>, Error> {
        let Some(find) = self.last.take().and_then(|last| self.statement(last)) else { return Ok(None) };
        let rows = sql.rows(find).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push(row.number("key_seq")?);
        }
        if let Some(row) = rows.last().filter(|_| rows.len() >= WINDOW as usize) {
            self.last = Some(Place { minute: row.number("minute")?, key_seq: row.number("key_seq")? });
        }
        Ok((!found.is_empty()).then_some(found))
    }

    fn statement(&self, last: Place) -> Option<Statement> {
        let (table, minute, since, from, order) = match self.source {
            Source::Idle(before) => ("idle_keys", "since", before, "since < $1", (">", "")),
            Source::Refused(since) => {
                ("key_uses", "last_refused_at", since, "last_refused_at >= $1", ("<", " DESC"))
            }
            Source::Nothing => return None,
        };
        let find = format!("SELECT key_seq, {minute} AS minute FROM {table} WHERE {from}");
        let mut find = Statement::new(find).bind(since);
        if let Some(seq) = self.workspace_seq {
            find.push(" AND workspace_seq = ").push_bind(seq);
        }
        let (behind, downwards) = order;
        if self.newest_first {
            // Not a walk through all keys until enough of them are found: a sum is in no index.
            find.push(" AND key_seq + 0 < ").push_bind(last.key_seq).push(" ORDER BY key_seq + 0 DESC");
        } else {
            find.push(&format!(" AND ({minute}, key_seq) {behind} (")).push_bind(last.minute);
            find.push(", ").push_bind(last.key_seq);
            find.push(&format!(") ORDER BY {minute}{downwards}, key_seq{downwards}"));
        }
        find.push(" LIMIT ").push_bind(WINDOW);
        Some(find)
    }
}
