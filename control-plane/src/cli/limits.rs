//! `limits …`: limits that the whole fleet counts together.

use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;

use super::client::Client;
use super::error::CliError;
use super::output::{Column, Output};

#[derive(Subcommand)]
pub(super) enum LimitsCommand {
    /// What is left of a key's limits that all gateways count together, and who holds how much
    Show {
        /// key_…
        id: String,
    },
}

const COLUMNS: [Column; 4] = [("LIMIT", "/limit"), ("STATE", "/state"), ("LEFT", "/left"), ("LENT", "/lent")];

pub(super) async fn run(client: &Client, output: Output, command: LimitsCommand) -> Result<(), CliError> {
    let LimitsCommand::Show { id } = command;
    let shown = client.call(Method::GET, &["api-keys", &id, "fleet-limits"]).send().await?;
    if output.json {
        return output.one(&shown, &[]);
    }
    let limits = shown.get("limits").and_then(Value::as_array).cloned().unwrap_or_default();
    if limits.is_empty() {
        output.note("the key has no limit that all gateways count together; its other ones are in keys get");
        return Ok(());
    }
    // In a list, so that it is shown in the form that --limit takes.
    let in_list = |mut limit: Value| {
        if let Some(limit) = limit.get_mut("limit") {
            *limit = Value::Array(vec![limit.take()]);
        }
        limit
    };
    output.list(&limits.iter().cloned().map(in_list).collect::<Vec<_>>(), &COLUMNS)?;
    for limit in &limits {
        let name = limit.pointer("/limit/name").and_then(Value::as_str).unwrap_or_default();
        if let Some(why) = limit.get("why").and_then(Value::as_str) {
            output.note(&format!("{name}: {why}"));
        }
        for holder in limit.get("holders").and_then(Value::as_array).into_iter().flatten() {
            let gateway = holder.get("gateway").and_then(Value::as_str).unwrap_or_default();
            let tokens = holder.get("tokens").and_then(Value::as_u64).unwrap_or_default();
            output.note(&format!("{name}: {gateway} has {tokens}"));
        }
    }
    Ok(())
}
