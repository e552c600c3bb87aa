//! Rows of `throttles`. Times are the database's.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::columns::Columns;
use super::dialect::sql;
use super::statement::{Dialect, Sql, Statement};
use crate::domain::error::Error;
use crate::domain::throttles::Attempts;
use crate::store::seam::throttles::WriteThrottles;

/// A new row, or what is added to one that is there, unless that is forgiven. One statement in one order: two replicas with the same
/// subjects never wait for each other.
const ADD: &str = "INSERT INTO throttles (subject, rest_at)
    SELECT v.value ->> 'subject', NOW_MS + CAST(v.value ->> 'more' AS BIGINT) FROM LINES WHERE true ORDER BY v.value ->> 'subject'
    ON CONFLICT (subject) DO UPDATE SET rest_at = excluded.rest_at + CASE
        WHEN throttles.rest_at > NOW_MS AND throttles.subject NOT IN (FORGIVEN) THEN throttles.rest_at - NOW_MS ELSE 0 END
    RETURNING subject, rest_at - NOW_MS AS busy";

#[async_trait]
impl<S: Sql> WriteThrottles for S {
    async fn add_attempts(&mut self, attempts: &[Attempts]) -> Result<Vec<(String, Duration)>, Error> {
        let mut lines: Vec<_> = attempts.iter().collect();
        lines.sort_by(|a, b| a.subject.cmp(&b.subject));
        let forgiven: Vec<_> = lines.iter().filter(|one| one.anew).map(|one| one.subject.as_str()).collect();
        let forgiven = json!(forgiven).to_string();
        let lines: Vec<_> =
            lines.iter().map(|one| json!({"subject": one.subject, "more": one.more_ms})).collect();
        let add = sql::<S>(&ADD.replace(
            "FORGIVEN",
            match S::DIALECT {
                Dialect::Sqlite => "SELECT value FROM json_each($2)",
                Dialect::Postgres => "SELECT jsonb_array_elements_text(CAST($2 AS jsonb))",
            },
        ));
        let add = Statement::new(add).bind(Json::from(lines).to_string()).bind(forgiven);
        let read = |row: &S::Row| {
            let ms = u64::try_from(row.number("busy")?).unwrap_or(0);
            Ok((row.text("subject")?, Duration::from_millis(ms)))
        };
        self.rows(add).await?.iter().map(read).collect()
    }

    async fn forget_attempts(&mut self, keep: u32) -> Result<(), Error> {
        let forget = sql::<S>(
            "DELETE FROM throttles WHERE subject IN (SELECT subject FROM throttles WHERE rest_at <= NOW_MS
             OR rest_at <= (SELECT rest_at FROM throttles ORDER BY rest_at DESC LIMIT 1 OFFSET $1) UNLOCKED)",
        );
        self.run(Statement::new(forget).bind(keep)).await.map(drop)
    }
}
