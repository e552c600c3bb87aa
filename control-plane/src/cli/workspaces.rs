//! `workspaces …`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::CliError;
use super::client::Client;
use super::limit_args::LimitArgs;
use super::output::{Column, Output};

/// What can be done with workspaces.
#[derive(Subcommand)]
pub(super) enum WorkspacesCommand {
    /// Make a workspace
    Create {
        /// Descriptive name
        #[arg(long)]
        name: String,
        /// Short name for scripts; made from the name when it is not given
        #[arg(long)]
        slug: Option<String>,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// List workspaces
    List {
        /// Most entries
        #[arg(long, default_value_t = 1_000)]
        max: usize,
    },
    /// Show a workspace
    Get {
        /// Id or slug
        workspace: String,
    },
    /// Change a workspace's name or the default limits of its keys
    Update {
        /// Id or slug
        workspace: String,
        /// Another descriptive name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        limits: LimitArgs,
    },
}

const FIELDS: [Column; 5] = [
    ("ID", "/id"),
    ("SLUG", "/slug"),
    ("NAME", "/name"),
    ("DEFAULT LIMITS", "/default_limits"),
    ("CREATED", "/created_at"),
];

pub(super) async fn run(client: &Client, output: Output, command: WorkspacesCommand) -> Result<(), CliError> {
    match command {
        WorkspacesCommand::Create { name, slug, limits } => {
            let body = body(Some(name), slug, &limits);
            let made = client.call(Method::POST, &["workspaces"]).body(body).send().await?;
            output.one(&made, &FIELDS);
        }
        WorkspacesCommand::List { max } => {
            let (entries, more) = client.list(&["workspaces"], &[], max).await?;
            output.list(&entries, &FIELDS);
            if more {
                output.note(&format!("(the first {max}; see --max)"));
            }
        }
        WorkspacesCommand::Get { workspace } => {
            output.one(&client.call(Method::GET, &["workspaces", &workspace]).send().await?, &FIELDS);
        }
        WorkspacesCommand::Update { workspace, name, limits } => {
            let call = client.call(Method::PATCH, &["workspaces", &workspace]);
            output.one(&call.body(body(name, None, &limits)).send().await?, &FIELDS);
        }
    }
    Ok(())
}

fn body(name: Option<String>, slug: Option<String>, limits: &LimitArgs) -> Value {
    let fields = [
        ("name", name.map(Value::from)),
        ("slug", slug.map(Value::from)),
        ("default_limits", limits.to_json()),
    ];
    json!(
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>()
    )
}
