//! Receiving a whole table page by page: in place when the table in use has about the right size, beside it otherwise.
//!
//! In place, the table is a mixture of old and new until the last page, so `status` loses its epoch before the first bucket
//! is touched: whoever goes on from there asks for a whole table again. It serves all the while; a key that is in both
//! tables is never refused, and each page makes the workers forget what it replaced.

use std::ops::RangeInclusive;

use crate::contract::key::KeyHash;
use crate::contract::page::Page;
use crate::host::{Expect, Now, SharedData, random_u64};
use crate::table::bucket::{Bucket, EncodedRecord, Entry, encode_bucket};
use crate::table::layout::{MAX_BITS, bucket_key, bucket_of, buckets};
use crate::table::plans::Plans;
use crate::table::status::Status;

use super::error::ApplyError;
use super::steps::replace;

/// A whole table being received.
#[derive(Debug)]
pub struct Reset {
    pub(super) bits: u8,
    pub(super) keys: u64,
    /// Last hash received; the next page starts behind it.
    pub(super) cursor: Option<KeyHash>,
    pub(super) epoch: String,
    pub(super) revision: u64,
    /// All plans of the table that comes.
    pub(super) plans: Plans,
    /// (incarnation, sequence) of the status that this reset wrote last: another one means another writer.
    pub(super) written: Option<(u64, u64)>,
}

/// Mean number of keys per bucket that a table is laid out for.
const KEYS_PER_BUCKET: u64 = 32;
/// Most buckets that one record of the first page can ask for: a lone record says little about the size of the table.
const BUCKETS_PER_RECORD: u64 = 4096;

/// The status at the end of a reset: a new sequence, so that every worker forgets what it cached.
pub fn finished(reset: &Reset, old: Option<&Status>, now: Now) -> Status {
    let beside = old.filter(|old| old.bits != reset.bits).map(|old| old.bits);
    Status {
        incarnation: old.map_or_else(random_u64, |status| status.incarnation),
        sequence: old.map_or(1, |status| status.sequence.saturating_add(1)),
        revision: reset.revision,
        bits: reset.bits,
        keys: reset.keys,
        synced: now,
        epoch: reset.epoch.clone(),
        other: beside.or(old.and_then(|old| old.other)),
    }
}

/// Replaces everything between the cursor and the end of the page. What lies outside of that range stays as it is: the
/// table goes on serving while it is replaced.
pub fn write_range<H: SharedData>(host: &H, reset: &Reset, page: &Page) -> Result<(), ApplyError> {
    let last = page.upserts.last().filter(|_| page.more).map_or(KeyHash([0xFF; 32]), |upsert| upsert.hash.0);
    let first_bucket = reset.cursor.map_or(0, |cursor| bucket_of(&cursor, reset.bits));
    let covered = |hash: &KeyHash| Some(*hash) > reset.cursor && *hash <= last;
    let mut upserts = page.upserts.iter().peekable();
    for bucket in first_bucket..=bucket_of(&last, reset.bits) {
        let key = bucket_key(reset.bits, bucket);
        let stored = host.read(&key).map_err(ApplyError::Host)?;
        let old = stored.as_ref().and_then(|stored| Bucket::parse(&stored.bytes));
        let mut entries: Vec<Entry<'_>> =
            old.iter().flat_map(Bucket::entries).filter(|(hash, _)| !covered(hash)).collect();
        while let Some(upsert) = upserts.next_if(|upsert| bucket_of(&upsert.hash.0, reset.bits) == bucket) {
            entries.push((upsert.hash.0, EncodedRecord::new(&upsert.record)));
        }
        entries.sort_by_key(|(hash, _)| *hash);
        let expect = stored.as_ref().map_or(Expect::Absent, |stored| Expect::Version(stored.cas));
        replace(host, &key, &encode_bucket(&entries), expect)?;
    }
    // Everything is placed, or the pages did not come in order.
    upserts.peek().map_or(Ok(()), |_| Err(ApplyError::BrokenReset))
}

/// How many bits the new table gets. Hashes are uniform, so the first page's last hash tells how many there are in all.
pub fn choose_bits(status: Option<&Status>, page: &Page) -> u8 {
    let records = u64::try_from(page.upserts.len()).unwrap_or(u64::MAX);
    let share = page.upserts.last().filter(|_| page.more).map_or(u64::MAX, |last| last.hash.0.prefix());
    let estimate = u128::from(records).saturating_mul(u128::from(u64::MAX)).checked_div(u128::from(share));
    let keys = estimate.and_then(|keys| u64::try_from(keys).ok()).unwrap_or(u64::MAX);
    let most = records.max(1).saturating_mul(BUCKETS_PER_RECORD).saturating_mul(KEYS_PER_BUCKET);
    let ideal = bits_for(keys.min(most));
    match status {
        // About right is good enough, and there is never more than one table beside the one in use.
        Some(old) if near(ideal).contains(&old.bits) => old.bits,
        Some(old) => match old.other {
            Some(other) if near(ideal).contains(&other) => other,
            Some(_) => old.bits,
            None => ideal,
        },
        None => ideal,
    }
}

fn near(bits: u8) -> RangeInclusive<u8> {
    bits.saturating_sub(1)..=bits.saturating_add(2)
}

/// Smallest number of bits with at most [`KEYS_PER_BUCKET`] keys per bucket on average.
fn bits_for(keys: u64) -> u8 {
    let wanted = keys.checked_div(KEYS_PER_BUCKET).unwrap_or(0);
    (0..MAX_BITS).find(|bits| u64::from(buckets(*bits)) > wanted).unwrap_or(MAX_BITS)
}
