//! Rows of `workspaces`.

use flamegate::record::Limit;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::keys::{limits, limits_json, timestamp};
use super::{Tx, changes};
use crate::error::Error;
use crate::workspaces::Workspace;

const SELECT: &str = "SELECT seq, id, slug, name, default_limits, created_at FROM workspaces";

/// Stores a new workspace; its `seq` is given by the database.
pub async fn insert(tx: &mut Tx, workspace: &Workspace) -> Result<(), Error> {
    sqlx::query("INSERT INTO workspaces (id, slug, name, default_limits, created_at) VALUES (?, ?, ?, ?, ?)")
        .bind(&workspace.id)
        .bind(&workspace.slug)
        .bind(&workspace.name)
        .bind(limits_json(&workspace.default_limits)?)
        .bind(workspace.created_at.as_millisecond())
        .execute(tx)
        .await?;
    Ok(())
}

/// The workspace with this id or slug. No slug looks like an id, so there is at most one.
pub async fn find(tx: &mut Tx, id_or_slug: &str) -> Result<Option<Workspace>, Error> {
    let sql = format!("{SELECT} WHERE id = ?1 OR slug = ?1");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id_or_slug).fetch_optional(tx).await?;
    row.as_ref().map(workspace).transpose()
}

/// Workspaces in order of creation from behind `after`.
pub async fn list(tx: &mut Tx, after: i64, limit: u32) -> Result<Vec<Workspace>, Error> {
    let sql = format!("{SELECT} WHERE seq > ? ORDER BY seq LIMIT ?");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(limit).fetch_all(tx).await?;
    rows.iter().map(workspace).collect()
}

/// Gives the workspace another name.
pub async fn rename(tx: &mut Tx, seq: i64, name: &str) -> Result<(), Error> {
    sqlx::query("UPDATE workspaces SET name = ? WHERE seq = ?").bind(name).bind(seq).execute(tx).await?;
    Ok(())
}

/// Changes the default limits; every listed key that follows them gets a revision of its own.
pub async fn set_default_limits(tx: &mut Tx, seq: i64, limits: &[Limit]) -> Result<(), Error> {
    sqlx::query("UPDATE workspaces SET default_limits = ? WHERE seq = ?")
        .bind(limits_json(limits)?)
        .bind(seq)
        .execute(&mut *tx)
        .await?;
    let followers: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM api_keys WHERE workspace_seq = ? AND limits IS NULL AND listed = 1",
    )
    .bind(seq)
    .fetch_one(&mut *tx)
    .await?;
    let first = changes::take_revisions(tx, followers.unsigned_abs()).await?;
    sqlx::query(
        "UPDATE api_keys SET revision = n.revision FROM (
             SELECT seq, ?1 - 1 + row_number() OVER (ORDER BY seq) AS revision FROM api_keys
             WHERE workspace_seq = ?2 AND limits IS NULL AND listed = 1) AS n
         WHERE api_keys.seq = n.seq",
    )
    .bind(first)
    .bind(seq)
    .execute(tx)
    .await?;
    Ok(())
}

fn workspace(row: &SqliteRow) -> Result<Workspace, Error> {
    Ok(Workspace {
        seq: row.try_get("seq")?,
        id: row.try_get("id")?,
        slug: row.try_get("slug")?,
        name: row.try_get("name")?,
        default_limits: limits(row.try_get("default_limits")?)?,
        created_at: timestamp(row.try_get("created_at")?)?,
    })
}
