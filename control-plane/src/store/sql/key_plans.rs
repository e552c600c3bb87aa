//! Rows of `plans`, and who refers to them.

use async_trait::async_trait;

use super::changes;
use super::columns::Columns;
use super::statement::{Sql, Statement};
use super::values::{limits, limits_json, restrict_json, restrictions, timestamp, unsigned};
use crate::contract::Scope;
use crate::domain::error::Error;
use crate::domain::limits::scope_name;
use crate::domain::plans::{Plan, PlanUses};
use crate::store::seam::plans::{ReadPlans, WritePlans};

const SELECT: &str = "SELECT name, scope, limits, restrictions, revision, created_at FROM plans";

#[async_trait]
impl<S: Sql> ReadPlans for S {
    async fn find_plan(&mut self, name: &str) -> Result<Option<Plan>, Error> {
        let find = format!("{SELECT} WHERE name = $1");
        self.row(Statement::new(find).bind(name)).await?.as_ref().map(plan).transpose()
    }

    async fn list_plans(&mut self) -> Result<Vec<Plan>, Error> {
        self.rows(Statement::new(format!("{SELECT} ORDER BY name"))).await?.iter().map(plan).collect()
    }

    async fn plan_uses(&mut self, name: &str) -> Result<PlanUses, Error> {
        let keys = "SELECT count(*) AS n FROM api_keys WHERE plan = $1 AND revoked_at IS NULL";
        let workspaces = "SELECT count(*) AS n FROM workspaces WHERE plan = $1";
        Ok(PlanUses {
            keys: unsigned(self.number(Statement::new(keys).bind(name)).await?)?,
            workspaces: unsigned(self.number(Statement::new(workspaces).bind(name)).await?)?,
        })
    }
}

#[async_trait]
impl<S: Sql> WritePlans for S {
    async fn insert_plan(&mut self, plan: &Plan) -> Result<(), Error> {
        let revision = changes::take_revisions(self, 1).await?;
        let insert = Statement::new(
            "INSERT INTO plans (name, scope, limits, restrictions, revision, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&plan.name)
        .bind(scope_name(plan.scope))
        .bind(limits_json(&plan.limits)?)
        .bind(plan.restrict.as_ref().map(restrict_json).transpose()?)
        .bind(revision)
        .bind(plan.created_at.as_millisecond());
        self.run(insert).await.map(drop)
    }

    async fn change_plan(&mut self, plan: &Plan) -> Result<(), Error> {
        let revision = changes::take_revisions(self, 1).await?;
        let change =
            Statement::new("UPDATE plans SET limits = $1, restrictions = $2, revision = $3 WHERE name = $4")
                .bind(limits_json(&plan.limits)?)
                .bind(plan.restrict.as_ref().map(restrict_json).transpose()?)
                .bind(revision)
                .bind(&plan.name);
        self.run(change).await.map(drop)
    }

    async fn delete_plan(&mut self, name: &str) -> Result<(), Error> {
        let forget = "UPDATE api_keys SET plan = NULL WHERE plan = $1 AND revoked_at IS NOT NULL";
        self.run(Statement::new(forget).bind(name)).await?;
        self.run(Statement::new("DELETE FROM plans WHERE name = $1").bind(name)).await.map(drop)
    }

    async fn set_key_plan(&mut self, seq: i64, plan: Option<&str>) -> Result<(), Error> {
        let revision = changes::take_revisions(self, 1).await?;
        let set = Statement::new("UPDATE api_keys SET plan = $1, revision = $2 WHERE seq = $3");
        self.run(set.bind(plan).bind(revision).bind(seq)).await.map(drop)
    }

    async fn set_workspace_plan(&mut self, seq: i64, plan: Option<&str>) -> Result<(), Error> {
        let set = Statement::new("UPDATE workspaces SET plan = $1 WHERE seq = $2");
        self.run(set.bind(plan).bind(seq)).await.map(drop)
    }
}

fn plan(row: &impl Columns) -> Result<Plan, Error> {
    let scope = if row.text("scope")? == "workspace" { Scope::Workspace } else { Scope::Key };
    Ok(Plan {
        name: row.text("name")?,
        scope,
        limits: limits(row.text("limits")?)?,
        restrict: restrictions(row)?,
        revision: unsigned(row.number("revision")?)?,
        created_at: timestamp(row.number("created_at")?)?,
    })
}
