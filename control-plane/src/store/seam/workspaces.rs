//! Workspaces, their bounds and what follows from them.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::contract::Limit;
use crate::domain::bounds::Bounds;
use crate::domain::error::Error;
use crate::domain::workspaces::{Renewed, Workspace};

/// Reading.
#[async_trait]
pub trait ReadWorkspaces: Send {
    /// The workspace with this id or slug. No slug looks like an id, so there is at most one.
    async fn find_workspace(&mut self, id_or_slug: &str) -> Result<Option<Workspace>, Error>;

    /// Workspaces in order of creation from behind `after`.
    async fn list_workspaces(&mut self, after: i64, limit: u32) -> Result<Vec<Workspace>, Error>;

    /// Workspaces with this plan in order of creation, without the first `offset`.
    async fn workspaces_on_plan(
        &mut self,
        plan: &str,
        offset: u32,
        limit: u32,
    ) -> Result<Vec<Workspace>, Error>;

    /// Ids and names of all workspaces, or of those alone whose names are not plain ASCII.
    async fn workspace_names(&mut self, also_plain: bool) -> Result<Vec<(String, String)>, Error>;

    /// How many keys of the workspace gateways accept now.
    async fn active_keys(&mut self, seq: i64, now: Timestamp) -> Result<u64, Error>;

    /// Each set of own limits that keys of the workspace have which are not revoked, with the id of one of these keys.
    async fn own_limits(&mut self, seq: i64) -> Result<Vec<(String, Vec<Limit>)>, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteWorkspaces: ReadWorkspaces {
    /// Stores a new workspace; its `seq` is given by the database.
    async fn insert_workspace(&mut self, workspace: &Workspace) -> Result<(), Error>;

    /// Gives the workspace another name.
    async fn rename_workspace(&mut self, seq: i64, name: &str) -> Result<(), Error>;

    /// Changes the default limits.
    async fn set_default_limits(&mut self, seq: i64, limits: &[Limit]) -> Result<(), Error>;

    /// Changes what an operator allows.
    async fn set_bounds(&mut self, seq: i64, bounds: &Bounds) -> Result<(), Error>;

    /// Gives keys of the workspace that are in the gateways' table a revision of their own each.
    async fn renew_keys(&mut self, seq: i64, which: Renewed) -> Result<(), Error>;
}
