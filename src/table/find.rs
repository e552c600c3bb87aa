//! The readers' side: one key's record, or why the table cannot tell.

use crate::contract::key::KeyHash;
use crate::contract::record::KeyRecord;
use crate::host::{HostError, SharedData};

use super::bucket::Bucket;
use super::layout::{bucket_key, bucket_of};
use super::status::Status;
use super::summary::Summary;

/// Why a table cannot answer. The request gets 503, never 401: the key may be fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The bucket is not there: the table moved, or shared data is gone.
    Missing,
    /// The bucket's bytes are not a bucket.
    Corrupt,
    /// The host refused the read.
    Host(HostError),
}

/// What the table says of a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its record.
    Record(KeyRecord),
    /// There is none; the summary of its bucket says what else is not there.
    Nothing(Summary),
}

impl Found {
    /// The record, if there is one.
    pub fn record(self) -> Option<KeyRecord> {
        match self {
            Self::Record(record) => Some(record),
            Self::Nothing(_) => None,
        }
    }
}

/// Looks a key up in the table that `status` describes.
pub fn find<H: SharedData>(host: &H, status: &Status, hash: &KeyHash) -> Result<Found, Unreadable> {
    let key = bucket_key(status.bits, bucket_of(hash, status.bits));
    let stored = host.read(&key).map_err(Unreadable::Host)?.ok_or(Unreadable::Missing)?;
    if stored.bytes.is_empty() {
        return Err(Unreadable::Missing);
    }
    let bucket = Bucket::parse(&stored.bytes).ok_or(Unreadable::Corrupt)?;
    match bucket.find(hash) {
        None => Ok(Found::Nothing(Summary::of(bucket.hashes()))),
        Some(record) => record.decode().map(Found::Record).ok_or(Unreadable::Corrupt),
    }
}
