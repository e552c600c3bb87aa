//! `plans …`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::error::CliError;
use super::limit_args::LimitArgs;
use super::output::{Column, Output};
use super::restrict_args::RestrictArgs;

/// What can be done with plans.
#[derive(Subcommand)]
pub(super) enum PlansCommand {
    /// Make a plan. Give it to keys by `keys create --plan` and `keys update --plan`, to workspaces by `workspaces update --plan`
    Create {
        /// Its name, which stays
        name: String,
        /// A plan of workspaces, whose keys count together, and not of keys
        #[arg(long)]
        for_workspaces: bool,
        #[command(flatten)]
        limits: LimitArgs,
        #[command(flatten)]
        restrict: RestrictArgs,
    },
    /// List plans, and how many have each
    List,
    /// Show a plan
    Get {
        /// Its name
        name: String,
    },
    /// Change a plan, for all who have it
    Update {
        /// Its name
        name: String,
        #[command(flatten)]
        limits: LimitArgs,
        #[command(flatten)]
        restrict: RestrictArgs,
        /// Its keys may be used for everything
        #[arg(long, conflicts_with_all = ["methods", "read_only", "paths", "addresses"])]
        no_restrictions: bool,
        /// How long to wait until every gateway knows of it
        #[arg(long, value_name = "TIME")]
        wait: Option<String>,
    },
    /// Remove a plan that nobody has
    Delete {
        /// Its name
        name: String,
    },
}

const COLUMNS: [Column; 6] = [
    ("PLAN", "/name"),
    ("SCOPE", "/scope"),
    ("LIMITS", "/limits"),
    ("RESTRICTIONS", "/restrict"),
    ("KEYS", "/keys"),
    ("WORKSPACES", "/workspaces"),
];

pub(super) async fn run(client: &Client, output: Output, command: PlansCommand) -> Result<(), CliError> {
    match command {
        PlansCommand::Create { name, for_workspaces, limits, restrict } => {
            let scope = if for_workspaces { "workspace" } else { "key" };
            let fields = [("name", Some(json!(name))), ("scope", Some(json!(scope)))];
            let body = object(fields.into_iter().chain(of(&limits, &restrict)));
            output.one(&client.call(Method::POST, &["plans"]).body(body).send().await?, &COLUMNS)
        }
        PlansCommand::List => {
            let all = client.call(Method::GET, &["plans"]).send().await?;
            output.list(all.as_array().map(Vec::as_slice).unwrap_or_default(), &COLUMNS)
        }
        PlansCommand::Get { name } => {
            output.one(&client.call(Method::GET, &["plans", &name]).send().await?, &COLUMNS)
        }
        PlansCommand::Update { name, limits, restrict, no_restrictions, wait } => {
            let mut body = object(of(&limits, &restrict));
            if no_restrictions {
                body["restrict"] = Value::Null;
            }
            let call = client.call(Method::PATCH, &["plans", &name]).wait(wait.as_deref());
            let plan = call.body(body).send().await?;
            output.one(&plan, &COLUMNS)?;
            super::keys::enforced(plan.get("receipt"))
        }
        PlansCommand::Delete { name } => {
            output.one(&client.call(Method::DELETE, &["plans", &name]).send().await?, &COLUMNS)
        }
    }
}

fn of(limits: &LimitArgs, restrict: &RestrictArgs) -> [(&'static str, Option<Value>); 2] {
    [("limits", limits.to_json()), ("restrict", restrict.to_json())]
}

/// A JSON object of the fields that are given.
fn object(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}
