//! Rows of `workspaces`.

use async_trait::async_trait;
use jiff::Timestamp;

use super::changes;
use super::columns::Columns;
use super::statement::{Sql, Statement};
use super::values::{ceiling, limits, limits_json, timestamp, unsigned};
use crate::contract::Limit;
use crate::domain::bounds::Bounds;
use crate::domain::error::Error;
use crate::domain::workspaces::{Renewed, Workspace};
use crate::store::seam::workspaces::{ReadWorkspaces, WriteWorkspaces};

const SELECT: &str = "SELECT seq, id, slug, name, default_limits, ceiling, workspace_limits, max_active_keys, plan, created_at FROM workspaces";

#[async_trait]
impl<S: Sql> ReadWorkspaces for S {
    async fn find_workspace(&mut self, id_or_slug: &str) -> Result<Option<Workspace>, Error> {
        let find = format!("{SELECT} WHERE id = $1 OR slug = $1");
        self.row(Statement::new(find).bind(id_or_slug)).await?.as_ref().map(workspace).transpose()
    }

    async fn list_workspaces(&mut self, after: i64, limit: u32) -> Result<Vec<Workspace>, Error> {
        let list = format!("{SELECT} WHERE seq > $1 ORDER BY seq LIMIT $2");
        self.rows(Statement::new(list).bind(after).bind(limit)).await?.iter().map(workspace).collect()
    }

    async fn workspaces_on_plan(
        &mut self,
        plan: &str,
        offset: u32,
        limit: u32,
    ) -> Result<Vec<Workspace>, Error> {
        let list = format!("{SELECT} WHERE plan = $1 ORDER BY seq LIMIT $2 OFFSET $3");
        let list = Statement::new(list).bind(plan).bind(limit).bind(offset);
        self.rows(list).await?.iter().map(workspace).collect()
    }

    async fn workspace_names(&mut self, also_plain: bool) -> Result<Vec<(String, String)>, Error> {
        let sql =
            "SELECT id, name FROM workspaces WHERE $1 OR octet_length(name) <> length(name) ORDER BY seq";
        let rows = self.rows(Statement::new(sql).bind(also_plain)).await?;
        rows.iter().map(|row| Ok((row.text("id")?, row.text("name")?))).collect()
    }

    async fn active_keys(&mut self, seq: i64, now: Timestamp) -> Result<u64, Error> {
        let count = Statement::new(
            "SELECT count(*) AS n FROM api_keys
             WHERE workspace_seq = $1 AND listed = 1 AND (expires_at IS NULL OR expires_at > $2)",
        );
        unsigned(self.number(count.bind(seq).bind(now.as_second())).await?)
    }

    async fn own_limits(&mut self, seq: i64) -> Result<Vec<(String, Vec<Limit>)>, Error> {
        let own = Statement::new(
            "SELECT min(id) AS id, limits FROM api_keys WHERE workspace_seq = $1 AND revoked_at IS NULL AND limits IS NOT NULL
             GROUP BY limits ORDER BY min(id)",
        );
        let rows = self.rows(own.bind(seq)).await?;
        rows.iter().map(|row| Ok((row.text("id")?, limits(row.text("limits")?)?))).collect()
    }
}

#[async_trait]
impl<S: Sql> WriteWorkspaces for S {
    async fn insert_workspace(&mut self, workspace: &Workspace) -> Result<(), Error> {
        let insert = Statement::new(
            "INSERT INTO workspaces (id, slug, name, default_limits, ceiling, workspace_limits, max_active_keys, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&workspace.id)
        .bind(&workspace.slug)
        .bind(&workspace.name)
        .bind(limits_json(&workspace.default_limits)?)
        .bind(ceiling_json(&workspace.bounds)?)
        .bind(limits_json(&workspace.bounds.workspace_limits)?)
        .bind(workspace.bounds.max_active_keys)
        .bind(workspace.created_at.as_millisecond());
        self.run(insert).await.map(drop)
    }

    async fn rename_workspace(&mut self, seq: i64, name: &str) -> Result<(), Error> {
        let rename = Statement::new("UPDATE workspaces SET name = $1 WHERE seq = $2");
        self.run(rename.bind(name).bind(seq)).await.map(drop)
    }

    async fn set_default_limits(&mut self, seq: i64, limits: &[Limit]) -> Result<(), Error> {
        let set = Statement::new("UPDATE workspaces SET default_limits = $1 WHERE seq = $2");
        self.run(set.bind(limits_json(limits)?).bind(seq)).await.map(drop)
    }

    async fn set_bounds(&mut self, seq: i64, bounds: &Bounds) -> Result<(), Error> {
        let set = Statement::new(
            "UPDATE workspaces SET ceiling = $1, workspace_limits = $2, max_active_keys = $3 WHERE seq = $4",
        )
        .bind(ceiling_json(bounds)?)
        .bind(limits_json(&bounds.workspace_limits)?)
        .bind(bounds.max_active_keys)
        .bind(seq);
        self.run(set).await.map(drop)
    }

    async fn renew_keys(&mut self, seq: i64, which: Renewed) -> Result<(), Error> {
        let all = which == Renewed::All;
        let count = Statement::new(
            "SELECT count(*) AS n FROM api_keys WHERE workspace_seq = $1 AND listed = 1 AND ($2 OR limits IS NULL)",
        );
        let count = self.number(count.bind(seq).bind(all)).await?;
        let first = changes::take_revisions(self, count.unsigned_abs()).await?;
        let renew = Statement::new(
            "UPDATE api_keys SET revision = n.revision FROM (
                 SELECT seq, $1 - 1 + row_number() OVER (ORDER BY seq) AS revision FROM api_keys
                 WHERE workspace_seq = $2 AND listed = 1 AND ($3 OR limits IS NULL)) AS n
             WHERE api_keys.seq = n.seq",
        );
        self.run(renew.bind(first).bind(seq).bind(all)).await.map(drop)
    }
}

fn ceiling_json(bounds: &Bounds) -> Result<Option<String>, Error> {
    let json = |limit| serde_json::to_string(limit).map_err(Error::internal);
    bounds.ceiling.as_ref().map(json).transpose()
}

fn workspace(row: &impl Columns) -> Result<Workspace, Error> {
    let most = row.maybe_number("max_active_keys")?;
    Ok(Workspace {
        seq: row.number("seq")?,
        id: row.text("id")?,
        slug: row.text("slug")?,
        name: row.text("name")?,
        default_limits: limits(row.text("default_limits")?)?,
        bounds: Bounds {
            ceiling: ceiling(row.maybe_text("ceiling")?)?,
            workspace_limits: limits(row.text("workspace_limits")?)?,
            max_active_keys: most.map(u32::try_from).transpose().map_err(Error::internal)?,
        },
        plan: row.maybe_text("plan")?,
        created_at: timestamp(row.number("created_at")?)?,
    })
}
