//! Keys whose own or default limits do not fit beside what an operator set: migration 0004 may leave some, and gateways then
//! enforce the tightest of them only.

use sqlx::sqlite::SqliteConnection;

use crate::domain::bounds::Bounds;
use crate::domain::error::Error;
use crate::store::sql::values;

/// The first schema with bounds.
const BOUNDS: i64 = 4;
/// Most that are told one by one.
const TOLD: usize = 20;

/// One of the keys with such limits, how many there are, the limits, and the workspace's ceiling and limits.
type Row = (String, i64, String, Option<String>, String);

/// Each set of limits that may be too long, in words.
pub(super) async fn find(connection: &mut SqliteConnection, schema: i64) -> Result<Vec<String>, sqlx::Error> {
    if schema < BOUNDS {
        return Ok(Vec::new());
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT min(k.id), count(*), COALESCE(k.limits, w.default_limits) AS own, w.ceiling, w.workspace_limits
         FROM api_keys k JOIN workspaces w ON w.seq = k.workspace_seq
         WHERE k.listed = 1 AND json_valid(COALESCE(k.limits, w.default_limits)) AND json_valid(w.workspace_limits)
         GROUP BY w.seq, own
         HAVING json_array_length(own) + json_array_length(w.workspace_limits) + (w.ceiling IS NOT NULL) > 4",
    )
    .fetch_all(connection)
    .await?;
    let mut remarks = Vec::new();
    for row in rows {
        if remarks.len() < TOLD {
            // What cannot be read is told by whoever serves it.
            remarks.extend(remark(row).ok().flatten());
        }
    }
    Ok(remarks)
}

fn remark((id, keys, own, ceiling, workspace_limits): Row) -> Result<Option<String>, Error> {
    let own = values::limits(own)?;
    let bounds = Bounds {
        ceiling: values::ceiling(ceiling)?,
        workspace_limits: values::limits(workspace_limits)?,
        max_active_keys: None,
    };
    if bounds.has_room_for(&own) {
        return Ok(None);
    }
    let more = if keys > 1 { format!(" and {} more keys", keys - 1) } else { String::new() };
    Ok(Some(format!(
        "the key {id}{more}: {} limits of its own do not fit beside its workspace's ceiling and limits; gateways enforce \
         the tightest of them: take some away",
        own.len()
    )))
}
