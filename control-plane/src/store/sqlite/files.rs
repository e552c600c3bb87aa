//! The database's files: only their owner reads them, and one server uses them at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::store::seam::open::OpenError;

pub(super) fn lock(database: &Path) -> Result<File, OpenError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let file = private_options().open(&path).map_err(|e| OpenError::File(path.clone(), e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(database.to_owned())),
        Err(TryLockError::Error(e)) => Err(OpenError::File(path, e)),
    }
}

/// SQLite gives its side files the mode of the database file.
pub(super) fn create_private(path: &Path) -> Result<(), OpenError> {
    private_options().open(path).map(drop).map_err(|e| OpenError::File(path.to_owned(), e))
}

pub(super) fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
