//! What engines say in other words: the time, lists in a value, locks that are left alone.

use std::time::Duration;

use super::statement::{Dialect, Sql};

/// The words of the engine. `UNLOCKED`: what others have locked is left for the next time, so whoever tidies waits for nobody.
pub(super) fn sql<S: Sql>(text: &str) -> String {
    let (now, session, lines, unlocked) = match S::DIALECT {
        Dialect::Sqlite => (
            "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            "unhex(v.value ->> 'session')",
            "json_each($1) AS v",
            "",
        ),
        Dialect::Postgres => (
            "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
            "decode(v.value ->> 'session', 'hex')",
            "jsonb_array_elements(CAST($1 AS jsonb)) AS v(value)",
            "FOR UPDATE SKIP LOCKED",
        ),
    };
    let text = text.replace("NOW_MS", now).replace("SESSION", session);
    text.replace("LINES", lines).replace("UNLOCKED", unlocked)
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
