//! More buckets for a crowded table, and the end of a table that is no longer in use. Both go on in slices; see `housekeeping`.

use crate::host::SharedData;
use crate::table::bucket::{Bucket, Entry, encode_bucket};
use crate::table::layout::{bucket_key, bucket_of, buckets};

use super::error::ApplyError;
use super::steps::put;

/// The table being rewritten with more buckets.
#[derive(Debug)]
pub struct Growth {
    pub(super) incarnation: u64,
    pub(super) from: u8,
    pub(super) to: u8,
    /// First bucket of the old table that is not yet copied.
    pub(super) next: u32,
}

/// A table that is no longer in use, being emptied.
#[derive(Clone, Copy, Debug)]
pub struct Retired {
    pub(super) bits: u8,
    pub(super) next: u32,
}

impl Growth {
    /// True when changes of this bucket have to go to the new table as well.
    pub const fn has_copied(&self, bucket: u32) -> bool {
        bucket < self.next
    }
}

impl Retired {
    /// A table that has to be emptied from its first bucket on.
    pub const fn new(bits: u8) -> Self {
        Self { bits, next: 0 }
    }

    /// True for the table with this many bits.
    pub const fn is_table(&self, bits: u8) -> bool {
        self.bits == bits
    }
}

/// Splits one bucket of the old table into its buckets of the new one.
pub fn copy_bucket<H: SharedData>(host: &H, growth: &Growth, bucket: u32) -> Result<(), ApplyError> {
    let stored =
        host.read(&bucket_key(growth.from, bucket)).map_err(ApplyError::Host)?.ok_or(ApplyError::NoTable)?;
    let old = Bucket::parse(&stored.bytes).ok_or(ApplyError::NoTable)?;
    let entries: Vec<Entry<'_>> = old.entries().collect();
    let factor = buckets(growth.to.saturating_sub(growth.from));
    let first = bucket.saturating_mul(factor);
    for target in first..first.saturating_add(factor) {
        let part: Vec<Entry<'_>> =
            entries.iter().filter(|(hash, _)| bucket_of(hash, growth.to) == target).cloned().collect();
        put(host, &bucket_key(growth.to, target), &encode_bucket(&part))?;
    }
    Ok(())
}
