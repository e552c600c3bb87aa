//! `audit`.

use super::client::Client;
use super::error::CliError;
use super::output::{Column, Output};
use crate::domain::audit_text::details_text;

/// Which entries.
#[derive(clap::Args)]
pub(super) struct AuditArgs {
    /// Only of this workspace
    #[arg(long)]
    workspace: Option<String>,
    /// Only this action, for example api_key.revoked
    #[arg(long)]
    action: Option<String>,
    /// Only what was done to the thing with this id, for example key_…
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// Most entries
    #[arg(long, default_value_t = 100)]
    max: usize,
}

const COLUMNS: [Column; 8] = [
    ("AT", "/at"),
    ("WHO", "/actor/name"),
    ("VIA", "/actor/via"),
    ("FROM", "/actor/address"),
    ("ACTION", "/action"),
    ("TARGET", "/target/name"),
    ("TARGET ID", "/target/id"),
    ("DETAILS", "/details_text"),
];

pub(super) async fn list(client: &Client, output: Output, args: AuditArgs) -> Result<(), CliError> {
    let query = [
        ("workspace", args.workspace.as_deref()),
        ("action", args.action.as_deref()),
        ("target", args.target.as_deref()),
    ];
    let (mut entries, more) = client.list(&["audit"], &query, args.max).await?;
    if !output.json {
        for entry in &mut entries {
            entry["details_text"] = details_text(&entry["details"]).into();
        }
    }
    output.list(&entries, &COLUMNS)?;
    if more {
        output.note(&format!("(the newest {}; see --max)", args.max));
    }
    Ok(())
}
