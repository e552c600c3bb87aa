//! `workspaces …`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::bounds_args::BoundsArgs;
use super::client::Client;
use super::error::CliError;
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
        #[command(flatten)]
        bounds: BoundsArgs,
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
    /// Change a workspace's name, the default limits of its keys, or what they may do at most
    Update {
        /// Id or slug
        workspace: String,
        /// Another descriptive name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        limits: LimitArgs,
        #[command(flatten)]
        bounds: BoundsArgs,
        /// A plan of workspaces, whose limits all its keys share
        #[arg(long)]
        plan: Option<String>,
        /// No plan any more
        #[arg(long, conflicts_with = "plan")]
        no_plan: bool,
    },
}

const FIELDS: [Column; 9] = [
    ("ID", "/id"),
    ("SLUG", "/slug"),
    ("NAME", "/name"),
    ("DEFAULT LIMITS", "/default_limits"),
    ("CEILING", "/ceiling_text"),
    ("WORKSPACE LIMITS", "/workspace_limits"),
    ("MAX ACTIVE KEYS", "/max_active_keys"),
    ("PLAN", "/plan"),
    ("CREATED", "/created_at"),
];

pub(super) async fn run(client: &Client, output: Output, command: WorkspacesCommand) -> Result<(), CliError> {
    match command {
        WorkspacesCommand::Create { name, slug, limits, bounds } => {
            let body = body(Some(name), slug, &limits, &bounds);
            let made = client.call(Method::POST, &["workspaces"]).body(body).send().await?;
            output.one(&shown(output, made), &FIELDS)?;
        }
        WorkspacesCommand::List { max } => {
            let (entries, more) = client.list(&["workspaces"], &[], max).await?;
            let entries: Vec<_> = entries.into_iter().map(|workspace| shown(output, workspace)).collect();
            output.list(&entries, &FIELDS)?;
            if more {
                output.note(&format!("(the first {max}; see --max)"));
            }
        }
        WorkspacesCommand::Get { workspace } => {
            let found = client.call(Method::GET, &["workspaces", &workspace]).send().await?;
            output.one(&shown(output, found), &FIELDS)?;
        }
        WorkspacesCommand::Update { workspace, name, limits, bounds, plan, no_plan } => {
            let call = client.call(Method::PATCH, &["workspaces", &workspace]);
            let mut body = body(name, None, &limits, &bounds);
            if no_plan || plan.is_some() {
                body["plan"] = json!(plan);
            }
            let changed = call.body(body).send().await?;
            output.one(&shown(output, changed), &FIELDS)?;
        }
    }
    Ok(())
}

fn body(name: Option<String>, slug: Option<String>, limits: &LimitArgs, bounds: &BoundsArgs) -> Value {
    let fields = [
        ("name", name.map(Value::from)),
        ("slug", slug.map(Value::from)),
        ("default_limits", limits.to_json()),
    ];
    let mut body: Map<_, _> =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    bounds.add_to(&mut body);
    Value::Object(body)
}

/// The ceiling as text, for tables.
fn shown(output: Output, mut workspace: Value) -> Value {
    if !output.json {
        let ceilings: Vec<_> =
            workspace.get("ceiling").filter(|ceiling| !ceiling.is_null()).into_iter().collect();
        workspace["ceiling_text"] = json!(ceilings);
    }
    workspace
}
