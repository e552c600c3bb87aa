//! `check`, `backup` and `restore`: the database file, without a server.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::error::CliError;
use super::output::{Column, Output};
use crate::config::database::DatabaseAddress;
use crate::store::OpenError;
use crate::store::maintenance::{self, Inspection, MaintenanceError, Restored};

/// Which database.
#[derive(Args)]
pub(super) struct DatabaseArgs {
    /// SQLite file, or postgres://USER@HOST/DATABASE [env: FLAMEGATE_DATABASE] [default: flamegate.db]
    #[arg(long, value_name = "FILE|URL")]
    database: Option<String>,
}

/// A database and a copy of it.
#[derive(Args)]
pub(super) struct CopyArgs {
    /// The copy
    #[arg(value_name = "FILE")]
    copy: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// A database, a copy to put in its place, and what else to do then.
#[derive(Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    copy: CopyArgs,
    /// Lock every user out until an operator enables them, and end all tokens of operators: those who left since the copy was made
    /// come back with it
    #[arg(long)]
    lock_users: bool,
}

pub(super) const COLUMNS: [Column; 5] = [
    ("SCHEMA", "/schema"),
    ("EPOCH", "/epoch"),
    ("REVISION", "/revision"),
    ("KEYS", "/keys"),
    ("ACTIVE", "/listed"),
];

/// Looks whether the database is sound; a server may be running.
pub(super) async fn check(output: Output, args: DatabaseArgs) -> Result<(), CliError> {
    let address = args.address()?;
    let inspection = maintenance::inspect(&address).await.map_err(not_read)?;
    output.one(&described(&inspection), &COLUMNS)?;
    inspection.remarks.iter().for_each(|remark| output.note(remark));
    if inspection.problems.is_empty() {
        output.note(&format!("{address} is sound"));
        return Ok(());
    }
    Err(CliError::Other(format!("{address} is not sound: {}", inspection.problems.join("; "))))
}

/// Copies the database; a server may be running.
pub(super) async fn back_up(output: Output, args: CopyArgs) -> Result<(), CliError> {
    let inspection = maintenance::back_up(&args.database.address()?, &args.copy).await.map_err(not_read)?;
    output.one(&described(&inspection), &COLUMNS)?;
    output.note(&format!("{} was written and checked", args.copy.display()));
    Ok(())
}

/// Puts a copy in the database's place; no server may be running.
pub(super) async fn restore(output: Output, args: RestoreArgs) -> Result<(), CliError> {
    let RestoreArgs { copy: CopyArgs { copy, database }, lock_users } = args;
    let restored = maintenance::restore(&copy, &database.address()?, lock_users).await.map_err(failed)?;
    tell_restored(output, restored, lock_users)
}

/// What a database that was restored holds, and what is to be done now.
pub(super) fn tell_restored(output: Output, restored: Restored, lock_users: bool) -> Result<(), CliError> {
    let Restored { inspection, aside, users, locked, tokens } = restored;
    let mut value = described(&inspection);
    value["old_database"] = json!(aside);
    value["users"] = json!(users);
    value["users_locked"] = json!(locked);
    value["tokens"] = json!(tokens);
    value["tokens_ended"] = json!(if lock_users { tokens } else { 0 });
    output.one(&value, &COLUMNS)?;
    inspection.remarks.iter().for_each(|remark| output.note(remark));
    if let Some(aside) = aside {
        output.note(&format!("the old database is now {}", aside.display()));
    }
    output.note("every gateway will fetch the whole table, every session has ended");
    output.note("keys revoked after the copy was made work again: revoke them again");
    output.note(&format!(
        "people came back, too, with the passwords, roles and workspaces that they had then: {users} users"
    ));
    if lock_users {
        output.note(&format!("{locked} users are locked out now: see `users list`, then `users enable`"));
        output.note(&format!(
            "{tokens} tokens of operators have ended: make others with the environment's token"
        ));
    } else {
        output
            .note("look through `users list`, and disable whoever left since (or restore with --lock-users)");
        if tokens > 0 {
            output.note(&format!(
                "{tokens} tokens of operators are as they were then: revoke again whichever was revoked since (`tokens list`)"
            ));
        }
    }
    Ok(())
}

impl DatabaseArgs {
    pub(super) fn address(&self) -> Result<DatabaseAddress, CliError> {
        let address = DatabaseAddress::read(self.database.as_deref(), &|name| std::env::var(name).ok());
        address.map_err(CliError::Usage)
    }
}

pub(super) fn described(inspection: &Inspection) -> Value {
    json!({
        "schema": inspection.schema, "epoch": inspection.epoch, "revision": inspection.revision,
        "keys": inspection.keys, "listed": inspection.listed, "problems": inspection.problems,
        "remarks": inspection.remarks,
    })
}

/// Which database is a matter of configuration, as it is for `serve`.
fn not_read(error: MaintenanceError) -> CliError {
    match error {
        MaintenanceError::Open(OpenError::Missing(_)) => CliError::Usage(error.to_string()),
        error => failed(error),
    }
}

pub(super) fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Other(error.to_string())
}
