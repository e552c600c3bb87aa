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

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use super::engine::BUSY_TIMEOUT;
use super::files::{lock, private_options};
use super::migrations;
use crate::domain::error::Error;
use crate::store::seam::maintenance::{Inspection, MaintenanceError, Restored};
use crate::store::seam::open::OpenError;
use crate::store::sql::upkeep::{self, BegunAnew, Holdings};

type Result<T> = std::result::Result<T, MaintenanceError>;

/// The lines of [`Schema`](crate::store::seam::maintenance::Schema) that these migrations make; `None` when one is not known here.
pub async fn schema_by(applied: &[i64]) -> Result<Option<BTreeSet<String>>> {
    schema::lines_by(applied).await.map_err(|error| at(Path::new(":memory:"), error))
}

/// Looks at a database, also while a server uses it, and changes nothing.
pub async fn inspect(path: &Path) -> Result<Inspection> {
    let mut connection = open_to_read(path).await?;
    let inspection = look(&mut connection).await.map_err(|error| failed(path, error));
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
    migrations::run(&mut connection).await?;
    let mut tx = connection.begin().await.map_err(|error| at(incoming, error))?;
    let done = upkeep::begin_anew(&mut *tx, lock_users, "restore").await;
    let BegunAnew { users, locked, tokens } = done.map_err(|error| failed(incoming, error))?;
    tx.commit().await.map_err(|error| at(incoming, error))?;
    connection.close().await.map_err(|error| at(incoming, error))?;
    sync(incoming)?;
    let inspection = inspect(incoming).await?;
    Ok(Restored { inspection, aside: None, users, locked, tokens })
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

async fn look(connection: &mut SqliteConnection) -> std::result::Result<Inspection, Error> {
    let mut problems: Vec<String> =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut *connection).await?;
    problems.retain(|text| text != "ok");
    let lost = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut *connection).await?.len();
    if lost > 0 {
        problems.push(format!("{lost} rows refer to rows that are not there"));
    }
    let schema = schema::version(connection, &mut problems).await?;
    schema::compare(connection, &mut problems).await?;
    upkeep::judge(connection, &mut problems).await?;
    let Holdings { epoch, revision, keys, listed } = upkeep::holdings(connection).await?;
    let remarks = full_records::find(connection, schema).await?;
    Ok(Inspection { schema, epoch, revision, keys, listed, problems, remarks })
}

/// A database that must be there; nothing is made or changed.
async fn open_to_read(path: &Path) -> Result<SqliteConnection> {
    if matches!(path.try_exists(), Ok(false)) {
        return Err(OpenError::Missing(path.display().to_string()).into());
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

fn failed(path: &Path, error: Error) -> MaintenanceError {
    MaintenanceError::Database(path.to_owned(), error.into_cause())
}

fn at(path: &Path, error: sqlx::Error) -> MaintenanceError {
    MaintenanceError::Database(path.to_owned(), error.into())
}

fn file_error(path: &Path, error: io::Error) -> MaintenanceError {
    MaintenanceError::File(path.to_owned(), error)
}

#[cfg(all(test, unix))]
mod tests;
