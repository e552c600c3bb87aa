//! Plans.

use async_trait::async_trait;

use crate::domain::error::Error;
use crate::domain::plans::{Plan, PlanUses};

/// Reading.
#[async_trait]
pub trait ReadPlans: Send {
    /// The plan of this name.
    async fn find_plan(&mut self, name: &str) -> Result<Option<Plan>, Error>;

    /// All plans in order of their names.
    async fn list_plans(&mut self) -> Result<Vec<Plan>, Error>;

    /// How many have it.
    async fn plan_uses(&mut self, name: &str) -> Result<PlanUses, Error>;
}

/// Writing.
#[async_trait]
pub trait WritePlans: ReadPlans {
    /// Stores a new plan with the next revision.
    async fn insert_plan(&mut self, plan: &Plan) -> Result<(), Error>;

    /// Changes limits and restrictions of a plan, with one revision for all who have it.
    async fn change_plan(&mut self, plan: &Plan) -> Result<(), Error>;

    /// Removes a plan that only revoked keys had, and from these.
    async fn delete_plan(&mut self, name: &str) -> Result<(), Error>;

    /// Gives the key another plan, or none.
    async fn set_key_plan(&mut self, seq: i64, plan: Option<&str>) -> Result<(), Error>;

    /// Gives the workspace another plan, or none.
    async fn set_workspace_plan(&mut self, seq: i64, plan: Option<&str>) -> Result<(), Error>;
}
