//! How many active keys more a workspace may have. Looked at in the transaction that makes them.

use jiff::Timestamp;

use crate::domain::error::Error;
use crate::domain::workspaces::Workspace;
use crate::store::View;

/// Refuses `more` active keys beyond the workspace's quota. Must run in the transaction that makes them.
pub(crate) async fn admit(
    tx: &mut View,
    workspace: &Workspace,
    more: u32,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(most) = workspace.bounds.max_active_keys.filter(|_| more > 0) else { return Ok(()) };
    let active = tx.active_keys(workspace.seq, now).await?;
    if active + u64::from(more) <= u64::from(most) {
        return Ok(());
    }
    let message = format!(
        "the workspace '{}' may have {most} active keys and has {active}: revoke some, or ask an operator for more",
        workspace.slug
    );
    Err(Error::Conflict { message, id: Some(workspace.id.clone()) })
}

/// How many active keys more the workspace may have.
pub(crate) async fn room(tx: &mut View, workspace: &Workspace, now: Timestamp) -> Result<u64, Error> {
    let Some(most) = workspace.bounds.max_active_keys else { return Ok(u64::MAX) };
    let active = tx.active_keys(workspace.seq, now).await?;
    Ok(u64::from(most).saturating_sub(active))
}
