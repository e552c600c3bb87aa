//! Rows of `idle_keys`: since which day an active key was not used. They follow the log of revisions, beside what others write: nobody who
//! makes or revokes a key waits for them.

use std::collections::BTreeMap;

use super::columns::Columns as _;
use super::statement::{ROWS_PER_STATEMENT, Sql, Statement, Value};
use crate::domain::error::Error;
use crate::domain::usage::{Minute, Step, Use};

/// Moves the days of keys forward; nearly always there is nothing to do, because they were used on that day before.
pub async fn used(sql: &mut impl Sql, uses: &BTreeMap<i64, Use>) -> Result<(), Error> {
    let mut days: BTreeMap<Minute, Vec<i64>> = BTreeMap::new();
    for last in uses.values() {
        days.entry(Step::Day.start(last.minute)).or_default().push(last.key_seq);
    }
    for (day, keys) in days {
        for chunk in keys.chunks(ROWS_PER_STATEMENT) {
            let earlier = taken(sql, "since < $1", day, chunk).await?;
            if !earlier.is_empty() {
                let mut set = Statement::new("UPDATE idle_keys SET since = $1 WHERE key_seq IN (").bind(day);
                set.push_list(earlier).push(")");
                sql.run(set).await?;
            }
        }
    }
    Ok(())
}

/// Takes changes of the log; true when there are more.
pub async fn follow(sql: &mut impl Sql, most: u32) -> Result<bool, Error> {
    let row = sql.row(Statement::new("SELECT revision FROM idle_keys_log")).await?;
    let Some(after) = row.map(|row| row.number("revision")).transpose()? else { return Ok(false) };
    let find = "SELECT seq, listed, revision FROM api_keys WHERE revision > $1 ORDER BY revision LIMIT $2";
    let changed = sql.rows(Statement::new(find).bind(after).bind(most)).await?;
    let Some(last) = changed.last() else { return Ok(false) };
    let move_on = Statement::new("UPDATE idle_keys_log SET revision = $1 WHERE revision = $2");
    if sql.run(move_on.bind(last.number("revision")?).bind(after)).await? == 0 {
        // Another control plane is at it.
        return Ok(false);
    }
    let (mut listed, mut removed) = (Vec::new(), Vec::new());
    for row in &changed {
        if row.flag("listed")? { &mut listed } else { &mut removed }.push(row.number("seq")?);
    }
    for (list, keys) in [(true, listed), (false, removed)] {
        for chunk in keys.chunks(ROWS_PER_STATEMENT) {
            if list {
                insert(sql, chunk).await?;
            } else {
                remove(sql, chunk).await?;
            }
        }
    }
    Ok(changed.len() >= most as usize)
}

/// Those that have no row get one, of the day of their last use, or of the day they were made.
async fn insert(sql: &mut impl Sql, keys: &[i64]) -> Result<(), Error> {
    let minute = "COALESCE(u.last_used_at, k.created_at / 60000)";
    let day = Step::Day.minutes();
    let mut insert = Statement::new(format!(
        "INSERT INTO idle_keys (key_seq, workspace_seq, since)
         SELECT k.seq, k.workspace_seq, {minute} - {minute} % {day}
         FROM api_keys k LEFT JOIN key_uses u ON u.key_seq = k.seq WHERE k.seq IN ("
    ));
    insert.push_list(keys.iter().map(|seq| Value::from(*seq)));
    insert.push(") ORDER BY k.seq ON CONFLICT (key_seq) DO NOTHING");
    sql.run(insert).await.map(drop)
}

async fn remove(sql: &mut impl Sql, keys: &[i64]) -> Result<(), Error> {
    let there = taken(sql, "since >= $1", Minute::MIN, keys).await?;
    if there.is_empty() {
        return Ok(());
    }
    let mut delete = Statement::new("DELETE FROM idle_keys WHERE key_seq IN (");
    delete.push_list(there).push(")");
    sql.run(delete).await.map(drop)
}

/// Those of the keys that have a row of which this holds; nobody else changes it until the end of the transaction.
async fn taken(sql: &mut impl Sql, condition: &str, day: Minute, keys: &[i64]) -> Result<Vec<Value>, Error> {
    let find = format!("SELECT key_seq FROM idle_keys WHERE {condition} AND key_seq IN (");
    let mut find = Statement::new(find).bind(day);
    find.push_list(keys.iter().map(|seq| Value::from(*seq)));
    find.push(") ORDER BY key_seq").push(locking(sql));
    sql.rows(find).await?.iter().map(|row| row.number("key_seq").map(Value::from)).collect()
}

const fn locking<S: Sql>(_: &S) -> &'static str {
    S::DIALECT.for_update()
}
