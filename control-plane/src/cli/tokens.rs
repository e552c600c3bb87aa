//! `tokens …`: tokens of operators and scripts.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::keys::ExpiryArgs;
use super::output::{Column, Output};

/// What can be done with tokens.
#[derive(Subcommand)]
pub(super) enum TokensCommand {
    /// Make a token and print it, once
    Create(CreateArgs),
    /// List tokens, expired and revoked ones too
    List {
        /// Most entries
        #[arg(long, default_value_t = 1_000)]
        max: usize,
    },
    /// End a token for good: no control plane takes it any more
    Revoke {
        /// Its name
        name: String,
    },
}

#[derive(Args)]
pub(super) struct CreateArgs {
    /// What the audit log calls it: 1 to 64 letters, digits, '_', '-', '.'; never used before
    name: String,
    /// Only for this workspace, by id or slug; otherwise it may do everything
    #[arg(long, requires = "role")]
    workspace: Option<String>,
    /// As what in that workspace: owner, member or viewer
    #[arg(long, requires = "workspace")]
    role: Option<String>,
    #[command(flatten)]
    expiry: ExpiryArgs,
}

const COLUMNS: [Column; 8] = [
    ("NAME", "/name"),
    ("ID", "/id"),
    ("WORKSPACE", "/workspace_slug"),
    ("ROLE", "/role"),
    ("STATUS", "/status"),
    ("BY", "/created_by"),
    ("EXPIRES", "/expires_at"),
    ("LAST USED", "/last_used_at"),
];

pub(super) async fn run(client: &Client, output: Output, command: TokensCommand) -> Result<(), CliError> {
    match command {
        TokensCommand::Create(args) => {
            let mut body = json!({ "name": args.name });
            if let Some((workspace, role)) = args.workspace.zip(args.role) {
                (body["workspace"], body["role"]) = (Value::from(workspace), Value::from(role));
            }
            if let Some(end) = args.expiry.to_json()? {
                body["expires_at"] = end;
            }
            show_new(output, &client.call(Method::POST, &["tokens"]).body(body).send().await?)
        }
        TokensCommand::List { max } => {
            let (entries, more) = client.list(&["tokens"], &[], max).await?;
            output.list(&entries, &COLUMNS)?;
            if more {
                output.note(&format!("(the first {max}; see --max)"));
            }
            Ok(())
        }
        TokensCommand::Revoke { name } => {
            let ended = client.call(Method::DELETE, &["tokens", &name]).send().await?;
            output.one(&ended, &COLUMNS)
        }
    }
}

/// The token goes to standard output, everything around it to standard error.
fn show_new(output: Output, made: &Value) -> Result<(), CliError> {
    let text = |name| made.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, id) = (text("name"), text("id"));
    let lost = format!(
        "{name} ({id}) was made, and nobody has its token. End it, and make one of another name: \
         flamegate-control tokens revoke {name}"
    );
    output.once(made, text("token"), &lost)?;
    let what = match (text("workspace_slug"), text("role")) {
        ("", _) => "for everything".to_owned(),
        (slug, role) => format!("{role} of {slug}"),
    };
    output.note(&format!("{name} ({id}), {what}"));
    output.note("Copy the token now, it is not shown again.");
    Ok(())
}
