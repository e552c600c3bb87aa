//! The key table: all key records of one Envoy process, once, in shared data.
//!
//! The table is `2^bits` buckets; a key's bucket is the first `bits` bits of its hash. Every bucket of the table in use is
//! present, an empty one too, so "not there" always means that the reader's idea of the layout is out of date, and never
//! that a key is unknown. `status` says which table is in use; it is written last. Readers are here, the one writer is
//! in [`writer`].

pub mod bucket;
pub mod status;
pub mod summary;
pub mod writer;

use crate::api_key::KeyHash;
use crate::host::{HostError, SharedData};
use crate::record::KeyRecord;

use bucket::Bucket;
use status::Status;
use summary::Summary;

/// Most bits of a bucket number: a million buckets.
pub const MAX_BITS: u8 = 20;

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

/// The bucket that holds `hash` in a table of `2^bits` buckets.
pub fn bucket_of(hash: &KeyHash, bits: u8) -> u32 {
    let shift = 64u32.saturating_sub(u32::from(bits));
    hash.prefix().checked_shr(shift).and_then(|bucket| u32::try_from(bucket).ok()).unwrap_or(0)
}

/// The shared-data key of a bucket.
pub fn bucket_key(bits: u8, bucket: u32) -> String {
    format!("flamegate/keys/{bits}/{bucket}")
}

#[cfg(test)]
mod tests;
