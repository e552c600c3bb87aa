//! In RocksDB's place: the types that limitador's storage on disk names, and a database that cannot be opened. Nothing here ever runs.

use std::{convert::Infallible, fmt, marker::PhantomData, path::Path};

/// A database that does not exist.
#[derive(Debug)]
pub struct DBWithThreadMode<T>(Infallible, PhantomData<T>);

/// A mode of it.
#[derive(Debug)]
pub struct MultiThreaded;

/// The usual one.
pub type DB = DBWithThreadMode<MultiThreaded>;

/// A key and a value.
pub type Entry = Result<(Box<[u8]>, Box<[u8]>), Error>;

impl<T> DBWithThreadMode<T> {
    /// There is none.
    pub fn open(_: &Options, _: impl AsRef<Path>) -> Result<Self, Error> {
        Err(Error)
    }

    /// Never called.
    pub fn get(&self, _: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        match self.0 {}
    }

    /// Never called.
    pub fn delete(&self, _: impl AsRef<[u8]>) -> Result<(), Error> {
        match self.0 {}
    }

    /// Never called.
    pub fn merge(&self, _: impl AsRef<[u8]>, _: impl AsRef<[u8]>) -> Result<(), Error> {
        match self.0 {}
    }

    /// Never called.
    pub fn iterator(&self, _: IteratorMode) -> std::iter::Empty<Entry> {
        match self.0 {}
    }

    /// Never called.
    pub fn prefix_iterator(&self, _: impl AsRef<[u8]>) -> std::iter::Empty<Entry> {
        match self.0 {}
    }
}

/// Where an iterator would begin.
#[derive(Debug)]
pub enum IteratorMode {
    /// At the first key.
    Start,
}

/// What a filter would say.
#[derive(Debug)]
pub enum CompactionDecision {
    /// It stays.
    Keep,
    /// It goes.
    Remove,
}

/// How values would be compressed.
#[derive(Debug)]
pub enum DBCompressionType {
    /// Not at all.
    None,
    /// By bzip2.
    Bz2,
}

/// Options that nothing reads.
#[derive(Debug, Default)]
pub struct Options(());

impl Options {
    /// Forgets it.
    pub fn create_if_missing(&mut self, _: bool) {}

    /// Forgets it.
    pub fn set_compression_type(&mut self, _: DBCompressionType) {}

    /// Forgets it.
    pub fn set_compaction_filter<F>(&mut self, _: &str, _: F)
    where
        F: FnMut(u32, &[u8], &[u8]) -> CompactionDecision,
    {
    }

    /// Forgets it.
    pub fn set_merge_operator_associative<F>(&mut self, _: &str, _: F)
    where
        F: Fn(&[u8], Option<&[u8]>, &MergeOperands) -> Option<Vec<u8>>,
    {
    }
}

/// What would be merged.
#[derive(Debug)]
pub struct MergeOperands(Infallible);

impl<'a> IntoIterator for &'a MergeOperands {
    type Item = &'a [u8];
    type IntoIter = std::iter::Empty<&'a [u8]>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {}
    }
}

/// There is no RocksDB.
#[derive(Clone, Copy, Debug)]
pub struct Error;

/// Kinds of errors that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It took too long.
    TimedOut,
    /// Perhaps later.
    TryAgain,
    /// None of these.
    NotSupported,
}

impl Error {
    /// Its kind.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::NotSupported
    }
}

impl fmt::Display for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("built without RocksDB")
    }
}

impl std::error::Error for Error {}
