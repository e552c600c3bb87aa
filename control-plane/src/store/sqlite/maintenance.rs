//! Looking after the file itself: is it sound, a copy of it while a server runs, and putting a copy in its place.
//!
//! A copy is checked before it gets its name, and before it takes a database's place. What was there before stays beside
//! it under another name. A restored database begins another epoch, so that every gateway fetches the whole table, and
//! it ends every session: some of them may have been ended after the copy was made. People come back as they were then,
//! so it can lock all of them out.
//!
//! Files are made new: what lies under their names (a link to something precious, say) is never opened and written.

mod full_records;
mod schema;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use super::engine::BUSY_TIMEOUT;
use super::files::{lock, private_options};
use super::migrations::MIGRATIONS;
use super::{changes, users};
use crate::domain::audit::{Action, Actor, NewEntry, Via};
use crate::domain::error::Error;
use crate::store::seam::audit::WriteAudit;
use crate::store::seam::maintenance::{Inspection, MaintenanceError, Restored};
use crate::store::seam::open::OpenError;

type Result<T> = std::result::Result<T, MaintenanceError>;

/// What must hold of the revision log, as a count of what breaks it.
const RULES: [(&str, &str); 5] = [
    ("revision_log must have one row", "SELECT COUNT(*) <> 1 FROM revision_log"),
    (
        "keys have a revision that was never given out",
        "SELECT COUNT(*) FROM api_keys WHERE revision > (SELECT revision FROM revision_log)",
    ),
    (
        "the log's floor is above its revision",
        "SELECT COUNT(*) FROM revision_log WHERE floor > revision OR floor < 0",
    ),
    (
        "removals below the log's floor are still in the log",
        "SELECT COUNT(*) FROM api_keys WHERE listed = 0 AND revision <= (SELECT floor FROM revision_log)",
    ),
    (
        "revoked keys are in the gateways' table",
        "SELECT COUNT(*) FROM api_keys WHERE listed = 1 AND revoked_at IS NOT NULL",
    ),
];

/// Looks at a database, also while a server uses it, and changes nothing.
pub async fn inspect(path: &Path) -> Result<Inspection> {
    let mut connection = open_to_read(path).await?;
    let inspection = look(&mut connection).await.map_err(|error| at(path, error));
    let _ = connection.close().await;
    inspection
}

/// Writes a copy of the database, as of one moment, to a file that must not be there yet. A server may be running.
pub async fn back_up(database: &Path, target: &Path) -> Result<Inspection> {
    if target.exists() {
        let reason = io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file of this name already exists, and is not written over",
        );
        return Err(file_error(target, reason));
    }
    let mut connection = open_to_read(database).await?;
    let part = beside(target, ".part");
    // VACUUM INTO takes an empty file, and so keeps the mode that this one has.
    make_new(&part)?;
    let name = part.to_str().ok_or_else(|| file_error(&part, io::ErrorKind::InvalidInput.into()))?;
    let copied = sqlx::query("VACUUM INTO ?").bind(name).execute(&mut connection).await;
    let _ = connection.close().await;
    let inspection = match copied {
        Ok(_) => sound(&part).await,
        Err(error) => Err(at(database, error)),
    };
    if inspection.is_err() {
        remove_if_there(&part)?;
    }
    let inspection = inspection?;
    sync(&part)?;
    // Unlike a rename, a link never replaces what came there meanwhile.
    fs::hard_link(&part, target).map_err(|error| file_error(target, error))?;
    remove_if_there(&part)?;
    sync_folder_of(target)?;
    Ok(inspection)
}

/// Puts a copy of `backup` in the place of the database, which no server may use. With `lock_users` every user is locked
/// out until an operator enables them.
pub async fn restore(backup: &Path, database: &Path, lock_users: bool) -> Result<Restored> {
    let _lock = lock(database)?;
    if fs::metadata(beside(backup, "-wal")).is_ok_and(|wal| wal.len() > 0) {
        let reason = "a write-ahead log lies beside it; make copies with `flamegate-control backup`";
        return Err(MaintenanceError::Unsound(backup.to_owned(), reason.to_owned()));
    }
    let incoming = beside(database, ".restoring");
    let prepared = prepare(backup, &incoming, lock_users).await;
    if prepared.is_err() {
        remove_if_there(&incoming)?;
    }
    let mut restored = prepared?;
    restored.aside = set_aside(database).await?;
    fs::rename(&incoming, database).map_err(|error| file_error(database, error))?;
    sync_folder_of(database)?;
    Ok(restored)
}

/// Copies the backup, checks the copy, brings its schema up to date, and begins another epoch in it.
async fn prepare(backup: &Path, incoming: &Path, lock_users: bool) -> Result<Restored> {
    let mut from = File::open(backup).map_err(|error| file_error(backup, error))?;
    let mut to = make_new(incoming)?;
    io::copy(&mut from, &mut to).map_err(|error| file_error(incoming, error))?;
    sound(incoming).await.map_err(|error| match error {
        MaintenanceError::Unsound(_, reason) => MaintenanceError::Unsound(backup.to_owned(), reason),
        MaintenanceError::Database(_, error) => MaintenanceError::Database(backup.to_owned(), error),
        other => other,
    })?;
    // No write-ahead log: the file alone is moved.
    let options = SqliteConnectOptions::new().filename(incoming).journal_mode(SqliteJournalMode::Delete);
    let mut connection = open(incoming, options.synchronous(SqliteSynchronous::Full)).await?;
    MIGRATIONS.run(&mut connection).await.map_err(|error| OpenError::Migrate(error.into()))?;
    let mut tx = connection.begin().await.map_err(|error| at(incoming, error))?;
    changes::new_epoch(&mut tx).await.map_err(OpenError::Log)?;
    sqlx::query("DELETE FROM sessions").execute(&mut *tx).await.map_err(|error| at(incoming, error))?;
    let locked = if lock_users { lock_out(&mut tx).await.map_err(OpenError::Log)? } else { 0 };
    let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users")
        .fetch_one(&mut *tx)
        .await
        .map_err(|error| at(incoming, error))?;
    tx.commit().await.map_err(|error| at(incoming, error))?;
    connection.close().await.map_err(|error| at(incoming, error))?;
    sync(incoming)?;
    let inspection = inspect(incoming).await?;
    Ok(Restored { inspection, aside: None, users: users.unsigned_abs(), locked })
}

/// Locks every user out, and writes that into the audit log: one entry for all. Their sessions are gone already.
async fn lock_out(tx: &mut SqliteConnection) -> std::result::Result<u64, Error> {
    let now = Timestamp::now();
    let locked = users::disable_all(tx, now).await?;
    let by = Actor { name: "restore --lock-users".to_owned(), ..Actor::admin_token(Via::Cli, None) };
    let entry = NewEntry {
        by: &by,
        action: Action::UserDisabled,
        workspace_seq: None,
        target_id: None,
        target: "every user",
        details: json!({ "users": locked }),
    };
    tx.append_entry(&entry, now).await?;
    Ok(locked)
}

/// Gives the database a second name and its side files another one. At every moment a database stands under the first
/// name: a crash in between leaves the old one there, with everything in it that could be folded in.
async fn set_aside(database: &Path) -> Result<Option<PathBuf>> {
    if !database.exists() {
        return Ok(None);
    }
    // Best effort: what is restored may be there because the old file is damaged.
    if let Ok(mut connection) = open(database, SqliteConnectOptions::new().filename(database)).await {
        let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await;
        let _ = connection.close().await;
    }
    let aside = beside(database, &format!(".before-restore-{}", Timestamp::now().as_millisecond()));
    fs::hard_link(database, &aside).map_err(|error| file_error(&aside, error))?;
    for suffix in ["-wal", "-shm"] {
        let (from, to) = (beside(database, suffix), beside(&aside, suffix));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(&from, error)),
            _ => {}
        }
    }
    Ok(Some(aside))
}

/// An inspection without problems, or the problems as an error.
async fn sound(path: &Path) -> Result<Inspection> {
    let inspection = inspect(path).await?;
    if inspection.problems.is_empty() {
        return Ok(inspection);
    }
    Err(MaintenanceError::Unsound(path.to_owned(), inspection.problems.join("; ")))
}

async fn look(connection: &mut SqliteConnection) -> std::result::Result<Inspection, sqlx::Error> {
    let mut problems: Vec<String> =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut *connection).await?;
    problems.retain(|text| text != "ok");
    let lost = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut *connection).await?.len();
    if lost > 0 {
        problems.push(format!("{lost} rows refer to rows that are not there"));
    }
    let schema = schema::version(connection, &mut problems).await?;
    schema::compare(connection, &mut problems).await?;
    for (rule, count) in RULES {
        let broken: i64 = sqlx::query_scalar(count).fetch_one(&mut *connection).await?;
        if broken > 0 {
            problems.push(format!("{rule} ({broken})"));
        }
    }
    let log: Option<(String, i64)> =
        sqlx::query_as("SELECT epoch, revision FROM revision_log").fetch_optional(&mut *connection).await?;
    let (epoch, revision) = log.unwrap_or_default();
    let (keys, listed) = sqlx::query_as("SELECT COUNT(*), COALESCE(SUM(listed), 0) FROM api_keys")
        .fetch_one(&mut *connection)
        .await?;
    let remarks = full_records::find(connection, schema).await?;
    Ok(Inspection { schema, epoch, revision, keys, listed, problems, remarks })
}

/// A database that must be there; nothing is made or changed.
async fn open_to_read(path: &Path) -> Result<SqliteConnection> {
    if matches!(path.try_exists(), Ok(false)) {
        return Err(OpenError::Missing(path.to_owned()).into());
    }
    open(path, SqliteConnectOptions::new().filename(path).read_only(true)).await
}

async fn open(path: &Path, options: SqliteConnectOptions) -> Result<SqliteConnection> {
    options.busy_timeout(BUSY_TIMEOUT).connect().await.map_err(|error| at(path, error))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes a file that only its owner may read, for SQLite to fill. What is left of an earlier try under this name is taken
/// away, with the side files that SQLite would believe; what comes there meanwhile is an error, never opened.
fn make_new(path: &Path) -> Result<File> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        remove_if_there(&beside(path, suffix))?;
    }
    private_options().create_new(true).open(path).map_err(|error| file_error(path, error))
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(path, error)),
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| file_error(path, error))
}

/// A name is durable once its folder is.
fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync(folder.unwrap_or(Path::new(".")))
}

fn at(path: &Path, error: sqlx::Error) -> MaintenanceError {
    MaintenanceError::Database(path.to_owned(), error.into())
}

fn file_error(path: &Path, error: io::Error) -> MaintenanceError {
    MaintenanceError::File(path.to_owned(), error)
}

#[cfg(all(test, unix))]
mod tests;
