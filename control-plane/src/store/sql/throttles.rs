//! Rows of `throttles`. Times are the database's.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::columns::Columns;
use super::replicas::sql;
use super::statement::{Sql, Statement};
use crate::domain::error::Error;
use crate::domain::throttles::Attempts;
use crate::store::seam::throttles::WriteThrottles;

/// A new row, and what is added to one that is there: all or only what is not forgiven.
const ADD: &str = "INSERT INTO throttles (subject, rest_at)
    SELECT v.value ->> 'subject', NOW_MS + CAST(v.value ->> 'more' AS BIGINT) FROM LINES WHERE true ORDER BY v.value ->> 'subject'
    ON CONFLICT (subject) DO UPDATE SET rest_at = excluded.rest_at";

#[async_trait]
impl<S: Sql> WriteThrottles for S {
    async fn add_attempts(&mut self, attempts: &[Attempts]) -> Result<Vec<(String, Duration)>, Error> {
        let mut busy = Vec::new();
        for (anew, what_was) in [
            (true, ""),
            (false, " + CASE WHEN throttles.rest_at > NOW_MS THEN throttles.rest_at - NOW_MS ELSE 0 END"),
        ] {
            let mut lines: Vec<_> = attempts.iter().filter(|one| one.anew == anew).collect();
            if lines.is_empty() {
                continue;
            }
            lines.sort_by(|a, b| a.subject.cmp(&b.subject));
            let lines: Vec<_> =
                lines.iter().map(|one| json!({"subject": one.subject, "more": one.more_ms})).collect();
            let add = sql::<S>(&format!("{ADD}{what_was} RETURNING subject, rest_at - NOW_MS AS busy"));
            for row in self.rows(Statement::new(add).bind(Json::from(lines).to_string())).await? {
                let ms = u64::try_from(row.number("busy")?).unwrap_or(0);
                busy.push((row.text("subject")?, Duration::from_millis(ms)));
            }
        }
        Ok(busy)
    }

    async fn forget_attempts(&mut self, keep: u32) -> Result<(), Error> {
        let forget = sql::<S>(
            "DELETE FROM throttles WHERE rest_at <= NOW_MS
             OR rest_at <= (SELECT rest_at FROM throttles ORDER BY rest_at DESC LIMIT 1 OFFSET $1)",
        );
        self.run(Statement::new(forget).bind(keep)).await.map(drop)
    }
}
