//! `audit`.

use super::client::Client;
use super::error::CliError;
use super::output::{Column, Output};

/// Which entries.
#[derive(clap::Args)]
pub(super) struct AuditArgs {
    /// Only of this workspace
    #[arg(long)]
    workspace: Option<String>,
    /// Only this action, for example api_key.revoked
    #[arg(long)]
    action: Option<String>,
    /// Most entries
    #[arg(long, default_value_t = 100)]
    max: usize,
}

const COLUMNS: [Column; 7] = [
    ("AT", "/at"),
    ("WHO", "/actor/name"),
    ("VIA", "/actor/via"),
    ("FROM", "/actor/address"),
    ("ACTION", "/action"),
    ("TARGET", "/target/name"),
    ("TARGET ID", "/target/id"),
];

pub(super) async fn list(client: &Client, output: Output, args: AuditArgs) -> Result<(), CliError> {
    let query = [("workspace", args.workspace.as_deref()), ("action", args.action.as_deref())];
    let (entries, more) = client.list(&["audit"], &query, args.max).await?;
    output.list(&entries, &COLUMNS)?;
    if more {
        output.note(&format!("(the newest {}; see --max)", args.max));
    }
    Ok(())
}
