//! Rows of `workspaces`.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::changes;
use super::values::{ceiling, limits, limits_json, timestamp, unsigned};
use crate::contract::Limit;
use crate::domain::bounds::Bounds;
use crate::domain::error::Error;
use crate::domain::workspaces::{Renewed, Workspace};
use crate::store::seam::workspaces::{ReadWorkspaces, WriteWorkspaces};

const SELECT: &str = "SELECT seq, id, slug, name, default_limits, ceiling, workspace_limits, max_active_keys, created_at FROM workspaces";

#[async_trait]
impl ReadWorkspaces for SqliteConnection {
    async fn find_workspace(&mut self, id_or_slug: &str) -> Result<Option<Workspace>, Error> {
        let sql = format!("{SELECT} WHERE id = ?1 OR slug = ?1");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id_or_slug).fetch_optional(self).await?;
        row.as_ref().map(workspace).transpose()
    }

    async fn list_workspaces(&mut self, after: i64, limit: u32) -> Result<Vec<Workspace>, Error> {
        let sql = format!("{SELECT} WHERE seq > ? ORDER BY seq LIMIT ?");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(limit).fetch_all(self).await?;
        rows.iter().map(workspace).collect()
    }

    async fn workspace_names(&mut self, also_plain: bool) -> Result<Vec<(String, String)>, Error> {
        let sql = "SELECT id, name FROM workspaces WHERE ? OR name GLOB '*[^ -~]*'";
        Ok(sqlx::query_as(sql).bind(also_plain).fetch_all(self).await?)
    }

    async fn active_keys(&mut self, seq: i64, now: Timestamp) -> Result<u64, Error> {
        let count = sqlx::query_scalar(
            "SELECT count(*) FROM api_keys
             WHERE workspace_seq = ? AND listed = 1 AND (expires_at IS NULL OR expires_at > ?)",
        )
        .bind(seq)
        .bind(now.as_second())
        .fetch_one(self)
        .await?;
        unsigned(count)
    }

    async fn own_limits(&mut self, seq: i64) -> Result<Vec<(String, Vec<Limit>)>, Error> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT min(id), limits FROM api_keys WHERE workspace_seq = ? AND revoked_at IS NULL AND limits IS NOT NULL
             GROUP BY limits",
        )
        .bind(seq)
        .fetch_all(self)
        .await?;
        rows.into_iter().map(|(id, own)| Ok((id, limits(own)?))).collect()
    }
}

#[async_trait]
impl WriteWorkspaces for SqliteConnection {
    async fn insert_workspace(&mut self, workspace: &Workspace) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO workspaces (id, slug, name, default_limits, ceiling, workspace_limits, max_active_keys, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&workspace.id)
        .bind(&workspace.slug)
        .bind(&workspace.name)
        .bind(limits_json(&workspace.default_limits)?)
        .bind(ceiling_json(&workspace.bounds)?)
        .bind(limits_json(&workspace.bounds.workspace_limits)?)
        .bind(workspace.bounds.max_active_keys)
        .bind(workspace.created_at.as_millisecond())
        .execute(self)
        .await?;
        Ok(())
    }

    async fn rename_workspace(&mut self, seq: i64, name: &str) -> Result<(), Error> {
        sqlx::query("UPDATE workspaces SET name = ? WHERE seq = ?")
            .bind(name)
            .bind(seq)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn set_default_limits(&mut self, seq: i64, limits: &[Limit]) -> Result<(), Error> {
        sqlx::query("UPDATE workspaces SET default_limits = ? WHERE seq = ?")
            .bind(limits_json(limits)?)
            .bind(seq)
            .execute(self)
            .await?;
        Ok(())
    }

    async fn set_bounds(&mut self, seq: i64, bounds: &Bounds) -> Result<(), Error> {
        sqlx::query(
            "UPDATE workspaces SET ceiling = ?, workspace_limits = ?, max_active_keys = ? WHERE seq = ?",
        )
        .bind(ceiling_json(bounds)?)
        .bind(limits_json(&bounds.workspace_limits)?)
        .bind(bounds.max_active_keys)
        .bind(seq)
        .execute(self)
        .await?;
        Ok(())
    }

    async fn renew_keys(&mut self, seq: i64, which: Renewed) -> Result<(), Error> {
        let all = which == Renewed::All;
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM api_keys WHERE workspace_seq = ?1 AND listed = 1 AND (?2 OR limits IS NULL)",
        )
        .bind(seq)
        .bind(all)
        .fetch_one(&mut *self)
        .await?;
        let first = changes::take_revisions(self, count.unsigned_abs()).await?;
        sqlx::query(
            "UPDATE api_keys SET revision = n.revision FROM (
                 SELECT seq, ?1 - 1 + row_number() OVER (ORDER BY seq) AS revision FROM api_keys
                 WHERE workspace_seq = ?2 AND listed = 1 AND (?3 OR limits IS NULL)) AS n
             WHERE api_keys.seq = n.seq",
        )
        .bind(first)
        .bind(seq)
        .bind(all)
        .execute(self)
        .await?;
        Ok(())
    }
}

fn ceiling_json(bounds: &Bounds) -> Result<Option<String>, Error> {
    let json = |limit| serde_json::to_string(limit).map_err(Error::internal);
    bounds.ceiling.as_ref().map(json).transpose()
}

fn workspace(row: &SqliteRow) -> Result<Workspace, Error> {
    Ok(Workspace {
        seq: row.try_get("seq")?,
        id: row.try_get("id")?,
        slug: row.try_get("slug")?,
        name: row.try_get("name")?,
        default_limits: limits(row.try_get("default_limits")?)?,
        bounds: Bounds {
            ceiling: ceiling(row.try_get("ceiling")?)?,
            workspace_limits: limits(row.try_get("workspace_limits")?)?,
            max_active_keys: row.try_get("max_active_keys")?,
        },
        created_at: timestamp(row.try_get("created_at")?)?,
    })
}
