//! Looking after the file itself: is it sound, a copy of it while a server runs, and putting a copy in its place.
//!
//! A copy is checked before it gets its name, and before it takes a database's place. What was there before stays beside
//! it under another name. A restored database begins another epoch, so that every gateway fetches the whole table, and
//! it ends every session: some of them may have been ended after the copy was made.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use super::{BUSY_TIMEOUT, MIGRATIONS, OpenError, changes, lock, private_options};

/// What a database file holds, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The newest migration that was applied.
    pub schema: i64,
    /// Name of its history.
    pub epoch: String,
    /// The last revision given out.
    pub revision: i64,
    /// Keys, of any state.
    pub keys: i64,
    /// Keys in the gateways' table.
    pub listed: i64,
    /// What is wrong; empty when it is sound.
    pub problems: Vec<String>,
}

/// Why one of these did not happen.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// A server uses the database, or it cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// SQLite refused.
    #[error("{0}: {1}")]
    Database(PathBuf, sqlx::Error),
    /// The file is not sound, or not one of ours.
    #[error("{0} cannot be used: {1}")]
    Unsound(PathBuf, String),
}

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
    let mut connection = open(path, read_only(path)).await?;
    let inspection = look(&mut connection).await.map_err(|error| at(path, error));
    let _ = connection.close().await;
    inspection
}

/// Writes a copy of the database, as of one moment, to a file that must not be there yet. A server may be running.
pub async fn back_up(database: &Path, target: &Path) -> Result<Inspection> {
    if target.exists() {
        return Err(file_error(target, io::ErrorKind::AlreadyExists.into()));
    }
    let part = beside(target, ".part");
    remove_if_there(&part)?;
    // VACUUM INTO takes an empty file, and so keeps the mode that this one has.
    private_options().open(&part).map_err(|error| file_error(&part, error))?;
    let mut connection = open(database, read_only(database)).await?;
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

/// Puts a copy of `backup` in the place of the database, which no server may use. Returns what it holds, and where the
/// old database is now.
pub async fn restore(backup: &Path, database: &Path) -> Result<(Inspection, Option<PathBuf>)> {
    let _lock = lock(database)?;
    if fs::metadata(beside(backup, "-wal")).is_ok_and(|wal| wal.len() > 0) {
        let reason = "a write-ahead log lies beside it; make copies with `flamegate-control backup`";
        return Err(MaintenanceError::Unsound(backup.to_owned(), reason.to_owned()));
    }
    let incoming = beside(database, ".restoring");
    let prepared = prepare(backup, &incoming).await;
    if prepared.is_err() {
        remove_if_there(&incoming)?;
    }
    let inspection = prepared?;
    let aside = set_aside(database).await?;
    fs::rename(&incoming, database).map_err(|error| file_error(database, error))?;
    sync_folder_of(database)?;
    Ok((inspection, aside))
}

/// Copies the backup, checks the copy, brings its schema up to date, and begins another epoch in it.
async fn prepare(backup: &Path, incoming: &Path) -> Result<Inspection> {
    remove_if_there(incoming)?;
    let mut from = File::open(backup).map_err(|error| file_error(backup, error))?;
    let mut to = private_options().open(incoming).map_err(|error| file_error(incoming, error))?;
    io::copy(&mut from, &mut to).map_err(|error| file_error(incoming, error))?;
    sound(incoming).await.map_err(|error| match error {
        MaintenanceError::Unsound(_, reason) => MaintenanceError::Unsound(backup.to_owned(), reason),
        MaintenanceError::Database(_, error) => MaintenanceError::Database(backup.to_owned(), error),
        other => other,
    })?;
    // No write-ahead log: the file alone is moved.
    let options = SqliteConnectOptions::new().filename(incoming).journal_mode(SqliteJournalMode::Delete);
    let mut connection = open(incoming, options.synchronous(SqliteSynchronous::Full)).await?;
    MIGRATIONS.run(&mut connection).await.map_err(OpenError::Migrate)?;
    let mut tx = connection.begin().await.map_err(|error| at(incoming, error))?;
    changes::new_epoch(&mut tx).await.map_err(OpenError::Log)?;
    sqlx::query("DELETE FROM sessions").execute(&mut *tx).await.map_err(|error| at(incoming, error))?;
    tx.commit().await.map_err(|error| at(incoming, error))?;
    connection.close().await.map_err(|error| at(incoming, error))?;
    sync(incoming)?;
    inspect(incoming).await
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
    let schema = schema(connection, &mut problems).await?;
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
        .fetch_one(connection)
        .await?;
    Ok(Inspection { schema, epoch, revision, keys, listed, problems })
}

/// The newest migration of the file. A migration that we do not know, or not in this form, is a problem.
async fn schema(
    connection: &mut SqliteConnection,
    problems: &mut Vec<String>,
) -> std::result::Result<i64, sqlx::Error> {
    let applied: Vec<(i64, bool, Vec<u8>)> =
        sqlx::query_as("SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version")
            .fetch_all(connection)
            .await?;
    for (version, success, checksum) in &applied {
        let known = MIGRATIONS.iter().find(|known| known.version == *version);
        match known {
            Some(known) if *success && known.checksum.as_ref() == checksum.as_slice() => {}
            Some(_) => problems.push(format!("migration {version} was not applied as it is known here")),
            None => problems.push(format!("schema {version} is newer than this program")),
        }
    }
    Ok(applied.last().map_or(0, |(version, ..)| *version))
}

fn read_only(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).read_only(true)
}

async fn open(path: &Path, options: SqliteConnectOptions) -> Result<SqliteConnection> {
    options.busy_timeout(BUSY_TIMEOUT).connect().await.map_err(|error| at(path, error))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
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
    MaintenanceError::Database(path.to_owned(), error)
}

fn file_error(path: &Path, error: io::Error) -> MaintenanceError {
    MaintenanceError::File(path.to_owned(), error)
}
