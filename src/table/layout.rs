//! Where a key stands: the number of its bucket, and the bucket's name in shared data.

use crate::contract::key::KeyHash;

/// Most bits of a bucket number: a million buckets.
pub const MAX_BITS: u8 = 20;

/// The bucket that holds `hash` in a table of `2^bits` buckets.
pub fn bucket_of(hash: &KeyHash, bits: u8) -> u32 {
    let shift = 64u32.saturating_sub(u32::from(bits));
    hash.prefix().checked_shr(shift).and_then(|bucket| u32::try_from(bucket).ok()).unwrap_or(0)
}

/// The shared-data key of a bucket.
pub fn bucket_key(bits: u8, bucket: u32) -> String {
    format!("flamegate/keys/{bits}/{bucket}")
}

/// How many buckets a table of `bits` has.
pub fn buckets(bits: u8) -> u32 {
    1u32.checked_shl(u32::from(bits)).unwrap_or(u32::MAX)
}
