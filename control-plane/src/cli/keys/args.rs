//! Arguments of `keys …`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::usage::UsageArgs;
use crate::cli::error::CliError;
use crate::cli::limit_args::LimitArgs;
use crate::cli::restrict_args::RestrictArgs;
use crate::domain::limits::seconds;

/// What can be done with keys.
#[derive(Subcommand)]
pub(in crate::cli) enum KeysCommand {
    /// Make a key and print it, once
    Create(CreateArgs),
    /// List keys, newest first
    List(ListArgs),
    /// Show a key
    Get {
        /// key_…
        id: String,
    },
    /// What a key was used for, and when it was last used
    Usage(UsageArgs),
    /// Give a key another name
    Rename {
        /// key_…
        id: String,
        /// The new name
        name: String,
    },
    /// Change a key's name, expiry, limits, restrictions or note
    Update(UpdateArgs),
    /// End a key for good and say which gateways refuse it
    Revoke {
        /// key_…
        id: String,
        /// How long to wait for the gateways, for example 5s or 500ms
        #[arg(long, default_value = "5s", value_name = "TIME")]
        wait: String,
    },
    /// Put a key in shadow, or take it out: what its limits or restrictions would refuse is counted and passes
    Shadow {
        /// key_…
        id: String,
        /// on or off
        to: Switch,
        /// How long to wait until every gateway knows of it
        #[arg(long, value_name = "TIME")]
        wait: Option<String>,
    },
    /// Make a key in the place of another one, which ends after a grace
    Rotate(RotateArgs),
    /// Store existing keys by their SHA-256
    Import(ImportArgs),
}

/// On or off.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Switch {
    On,
    Off,
}

#[derive(Args)]
pub(in crate::cli) struct CreateArgs {
    /// Id or slug of the workspace
    #[arg(long)]
    pub workspace: String,
    /// Descriptive name
    #[arg(long)]
    pub name: String,
    /// What its owners say of it, one line
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// live or test
    #[arg(long)]
    pub environment: String,
    #[command(flatten)]
    pub expiry: ExpiryArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub restrict: RestrictArgs,
    /// A plan, in the place of the workspace's default limits
    #[arg(long)]
    pub plan: Option<String>,
    /// A repeat with the same value makes no second key
    #[arg(long, value_name = "TEXT")]
    pub idempotency_key: Option<String>,
    /// How long to wait until every gateway knows the key
    #[arg(long, value_name = "TIME")]
    pub wait: Option<String>,
}

#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Only of this workspace
    #[arg(long)]
    pub workspace: Option<String>,
    /// Only live or test
    #[arg(long)]
    pub environment: Option<String>,
    /// active, revoked, expired or all
    #[arg(long)]
    pub status: Option<String>,
    /// Only with this plan
    #[arg(long)]
    pub plan: Option<String>,
    /// Only in shadow
    #[arg(long)]
    pub shadow: bool,
    /// Only active keys that were not used for so long, and were there and counted: 90d, 12h
    #[arg(long, value_name = "TIME")]
    pub unused_for: Option<String>,
    /// Only keys that have ended, and with which somebody came within the last seven days
    #[arg(long)]
    pub still_used: bool,
    /// Most entries
    #[arg(long, default_value_t = 1_000)]
    pub max: usize,
}

#[derive(Args)]
pub(in crate::cli) struct UpdateArgs {
    /// key_…
    pub id: String,
    /// Another name
    #[arg(long)]
    pub name: Option<String>,
    #[command(flatten)]
    pub expiry: ExpiryArgs,
    /// The key does not expire any more
    #[arg(long, conflicts_with_all = ["expires_at", "expires_in"])]
    pub never_expires: bool,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Follow the workspace's default limits again
    #[arg(long, conflicts_with_all = ["limits", "no_limits"])]
    pub inherit_limits: bool,
    #[command(flatten)]
    pub restrict: RestrictArgs,
    /// The key may be used for everything
    #[arg(long, conflicts_with_all = ["methods", "read_only", "paths", "addresses"])]
    pub no_restrictions: bool,
    /// Another plan
    #[arg(long)]
    pub plan: Option<String>,
    /// No plan any more: the workspace's default limits, if the key has none of its own
    #[arg(long, conflicts_with = "plan")]
    pub no_plan: bool,
    /// Another note, one line
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// No note any more
    #[arg(long, conflicts_with = "note")]
    pub no_note: bool,
    /// How long to wait until every gateway knows of it
    #[arg(long, value_name = "TIME")]
    pub wait: Option<String>,
}

#[derive(Args)]
pub(in crate::cli) struct RotateArgs {
    /// key_…
    pub id: String,
    /// How long the old key still works: 90s, 30m, 24h, 7d; 0 ends it at once, as after a leak
    #[arg(long, value_name = "TIME")]
    pub grace: String,
    /// Of the new key, which otherwise ends when the old one was to end
    #[command(flatten)]
    pub expiry: ExpiryArgs,
    /// The new key does not expire
    #[arg(long, conflicts_with_all = ["expires_at", "expires_in"])]
    pub never_expires: bool,
    /// A repeat with the same value makes no second key
    #[arg(long, value_name = "TEXT")]
    pub idempotency_key: Option<String>,
    /// How long to wait until every gateway knows of it
    #[arg(long, value_name = "TIME")]
    pub wait: Option<String>,
}

#[derive(Args)]
pub(in crate::cli) struct ImportArgs {
    /// A file with one JSON object per line (hash, workspace, name, environment, optional key_hint, expires_at, limits, restrict, plan, shadow); - for
    /// standard input. In place of the hash a line may have the key, of which only the hash is sent. Hashes that are known
    /// already are skipped; a line that is refused is told, and the others are imported
    #[arg(long, conflicts_with_all = ["hash", "workspace", "name", "environment", "hint"])]
    pub file: Option<PathBuf>,
    /// SHA-256 of the whole key, 64 hexadecimal digits
    #[arg(long, required_unless_present = "file")]
    pub hash: Option<String>,
    /// Id or slug of the workspace
    #[arg(long, required_unless_present = "file")]
    pub workspace: Option<String>,
    /// Descriptive name
    #[arg(long, required_unless_present = "file")]
    pub name: Option<String>,
    /// live or test
    #[arg(long, required_unless_present = "file")]
    pub environment: Option<String>,
    /// The prefix, … and at most four characters of the key, for people
    #[arg(long)]
    pub hint: Option<String>,
    #[command(flatten)]
    pub expiry: ExpiryArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub restrict: RestrictArgs,
    /// In shadow from its first request on: what its limits or restrictions would refuse is counted and passes
    #[arg(long)]
    pub shadow: bool,
}

#[derive(Args)]
pub(in crate::cli) struct ExpiryArgs {
    /// When it stops working: RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires_at: Option<String>,
    /// The same from now: 12h, 90d
    #[arg(long, value_name = "TIME")]
    expires_in: Option<String>,
}

impl ExpiryArgs {
    /// The JSON for a request; `None` when nothing was said.
    pub fn to_json(&self) -> Result<Option<Value>, CliError> {
        if let Some(text) = &self.expires_at {
            let number = serde_json::from_str::<serde_json::Number>(text);
            return Ok(Some(number.map_or_else(|_| json!(text), Value::Number)));
        }
        let Some(text) = &self.expires_in else { return Ok(None) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let end = seconds(text).and_then(|seconds| now.checked_add_signed(seconds));
        end.map(|end| Some(json!(end)))
            .ok_or_else(|| CliError::Usage(format!("'{text}' is no time such as 12h or 90d")))
    }
}
