//! `database`: what is done to a database on a PostgreSQL server, and how an installation gets there from a file.

use clap::{Args, Subcommand};
use serde_json::{Map, json};

use super::database::{COLUMNS, DatabaseArgs, described, failed, tell_restored};
use super::error::CliError;
use super::output::Output;
use crate::config::database::DatabaseAddress;
use crate::store::maintenance;

/// What to do.
#[derive(Subcommand)]
pub(super) enum DatabaseCommand {
    /// Bring the schema on a PostgreSQL server up to date, and let another user use it
    Migrate(MigrateArgs),
    /// Copy everything into a new or empty database and compare both, while no server runs
    Copy(CopyArgs),
    /// After PostgreSQL has restored a backup, before anything is served: begin another history, and end every session
    Restored(RestoredArgs),
}

/// Which schema, and for whom.
#[derive(Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The user that serves: may read and write rows, but not the schema, and only add to the audit log
    #[arg(long, value_name = "USER")]
    grant_to: Option<String>,
}

/// From where to where.
#[derive(Args)]
pub(super) struct CopyArgs {
    /// The database that is there
    #[arg(long, value_name = "FILE|URL")]
    from: String,
    /// A new file, or an empty database
    #[arg(long, value_name = "FILE|URL")]
    to: String,
}

/// Which database was restored.
#[derive(Args)]
pub(super) struct RestoredArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Lock every user out until an operator enables them, and end all tokens of operators: those who left since the backup was made
    /// are back
    #[arg(long)]
    lock_users: bool,
}

/// Does it.
pub(super) async fn run(output: Output, command: DatabaseCommand) -> Result<(), CliError> {
    match command {
        DatabaseCommand::Migrate(args) => migrate(output, args).await,
        DatabaseCommand::Copy(args) => copy(output, args).await,
        DatabaseCommand::Restored(args) => restored(output, args).await,
    }
}

async fn migrate(output: Output, args: MigrateArgs) -> Result<(), CliError> {
    let address = args.database.address()?;
    let inspection = maintenance::migrate(&address, args.grant_to.as_deref()).await.map_err(failed)?;
    output.one(&described(&inspection), &COLUMNS)?;
    if let Some(user) = args.grant_to {
        output.note(&format!(
            "{user} may use it now, and change neither the schema nor what is in the audit log"
        ));
    }
    Ok(())
}

async fn copy(output: Output, args: CopyArgs) -> Result<(), CliError> {
    let address = |text: &str| {
        // Which pooler is before one of them is nothing that matters to the other.
        let source = |name: &str| std::env::var(name).ok().filter(|_| !name.ends_with("_DIRECT"));
        DatabaseAddress::read(Some(text), &source).map_err(CliError::Usage)
    };
    let (from, to) = (address(&args.from)?, address(&args.to)?);
    if from == to {
        return Err(CliError::Usage("--from and --to are the same database".to_owned()));
    }
    let copied = maintenance::copy(&from, &to).await.map_err(failed)?;
    let rows: u64 = copied.iter().map(|(_, rows)| rows).sum();
    let tables: Map<_, _> = copied.into_iter().map(|(name, rows)| (name, json!(rows))).collect();
    let value = json!({ "from": from.to_string(), "to": to.to_string(), "rows": rows, "tables": tables });
    output.one(&value, &[("FROM", "/from"), ("TO", "/to"), ("ROWS", "/rows")])?;
    output.note("both were compared, row by row; gateways go on with the tables that they have");
    output.note(&format!("serve from {to} alone now: what is changed in {from} is lost"));
    Ok(())
}

async fn restored(output: Output, args: RestoredArgs) -> Result<(), CliError> {
    let address = args.database.address()?;
    let restored = maintenance::restored(&address, args.lock_users).await.map_err(failed)?;
    tell_restored(output, restored, args.lock_users)
}
