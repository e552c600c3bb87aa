//! Rows of `key_usage` for several keys at once.

use async_trait::async_trait;

use super::columns::Columns as _;
use super::statement::{Sql, Statement, Value};
use super::usage::{COUNTS, tally};
use crate::domain::error::Error;
use crate::domain::usage::{Bucket, Period};
use crate::store::seam::usage_lines::ReadUsageLines;

/// Most keys in one statement.
const KEYS_PER_STATEMENT: usize = 1_000;

#[async_trait]
impl<S: Sql> ReadUsageLines for S {
    async fn usage_of_keys(
        &mut self,
        key_seqs: &[i64],
        period: &Period,
    ) -> Result<Vec<(i64, Bucket)>, Error> {
        let mut found = Vec::new();
        for chunk in key_seqs.chunks(KEYS_PER_STATEMENT) {
            let mut sql =
                Statement::new(format!("SELECT key_seq, start, {COUNTS} FROM key_usage WHERE key_seq IN ("));
            sql.push_list(chunk.iter().map(|seq| Value::from(*seq))).push(") AND step = ");
            sql.push_bind(period.step.minutes()).push(" AND start >= ").push_bind(period.from);
            sql.push(" AND start < ").push_bind(period.to);
            for row in self.rows(sql).await? {
                let bucket = Bucket { start: row.number("start")?, tally: tally(&row)? };
                found.push((row.number("key_seq")?, bucket));
            }
        }
        Ok(found)
    }
}
