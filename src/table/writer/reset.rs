//! Receiving a whole table page by page: in place when the table in use has about the right size, beside it otherwise.
//!
//! In place, the table is a mixture of old and new until the last page, so `status` loses its epoch before the first bucket
//! is touched: whoever goes on from there asks for a whole table again. It serves all the while; a key that is in both
//! tables is never refused, and each page makes the workers forget what it replaced.

use std::ops::RangeInclusive;

use crate::api_key::KeyHash;
use crate::host::{Expect, Now, SharedData, random_u64};
use crate::sync::wire::Page;
use crate::table::bucket::{Bucket, EncodedRecord, Entry, encode_bucket};
use crate::table::status::Status;
use crate::table::{MAX_BITS, bucket_key, bucket_of};

use super::growth::Retired;
use super::{ApplyError, TableWriter, announce_anew, buckets, replace};

/// A whole table being received.
#[derive(Debug)]
pub struct Reset {
    bits: u8,
    keys: u64,
    /// Last hash received; the next page starts behind it.
    cursor: Option<KeyHash>,
    epoch: String,
    revision: u64,
    /// (incarnation, sequence) of the status that this reset wrote last: another one means another writer.
    written: Option<(u64, u64)>,
}

/// Mean number of keys per bucket that a table is laid out for.
const KEYS_PER_BUCKET: u64 = 32;
/// Most buckets that one record of the first page can ask for: a lone record says little about the size of the table.
const BUCKETS_PER_RECORD: u64 = 4096;

impl TableWriter {
    /// See [`TableWriter::apply_reset`].
    pub(super) fn reset_page<H: SharedData>(
        &mut self,
        host: &H,
        page: &Page,
        after: Option<KeyHash>,
        now: Now,
    ) -> Result<Option<Status>, ApplyError> {
        if after.is_none() {
            self.begin_reset(host, page)?;
        }
        let (status, expect) = Status::read_versioned(host).map_err(ApplyError::Host)?;
        let Some(reset) = self.reset.as_mut() else { return Err(ApplyError::BrokenReset) };
        let is_next = page.upserts.first().is_none_or(|upsert| Some(upsert.hash.0) > after);
        let same_table = reset.written == status.as_ref().map(|status| (status.incarnation, status.sequence));
        if reset.cursor != after || reset.epoch != page.epoch || !is_next || !same_table {
            return Err(ApplyError::BrokenReset);
        }
        write_range(host, reset, page)?;
        reset.keys = reset.keys.saturating_add(u64::try_from(page.upserts.len()).unwrap_or(u64::MAX));
        if page.more {
            reset.cursor = page.upserts.last().map(|upsert| upsert.hash.0);
            if let Some(status) = status.filter(|status| status.bits == reset.bits) {
                let next = Status { sequence: status.sequence.saturating_add(1), ..status };
                announce_anew(host, &next, expect)?;
                reset.written = Some((next.incarnation, next.sequence));
            }
            return Ok(None);
        }
        let next = finished(reset, status.as_ref(), now);
        self.reset = None;
        announce_anew(host, &next, expect)?;
        if let Some(old) = status.filter(|old| old.bits != next.bits) {
            self.retired = Some(Retired::new(old.bits));
        }
        self.grow_if_crowded(&next);
        Ok(Some(next))
    }

    /// Chooses where the new table goes and says so in `status` before anything is written there.
    fn begin_reset<H: SharedData>(&mut self, host: &H, page: &Page) -> Result<(), ApplyError> {
        let (status, expect) = Status::read_versioned(host).map_err(ApplyError::Host)?;
        self.growth = None;
        let bits = choose_bits(status.as_ref(), page);
        // The clean-up must not empty what is about to be written.
        self.retired = self.retired.filter(|retired| !retired.is_table(bits));
        let mut reset = Reset {
            bits,
            keys: 0,
            cursor: None,
            epoch: page.epoch.clone(),
            revision: page.revision,
            written: None,
        };
        if let Some(old) = status {
            // A new sequence in either case, so that another writer's unfinished reset notices.
            let sequence = old.sequence.saturating_add(1);
            let marked = if old.bits == bits {
                Status { epoch: String::new(), sequence, ..old }
            } else {
                Status { other: Some(bits), sequence, ..old }
            };
            announce_anew(host, &marked, expect)?;
            reset.written = Some((marked.incarnation, marked.sequence));
        }
        self.reset = Some(reset);
        Ok(())
    }
}

/// The status at the end of a reset: a new sequence, so that every worker forgets what it cached.
fn finished(reset: &Reset, old: Option<&Status>, now: Now) -> Status {
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
fn write_range<H: SharedData>(host: &H, reset: &Reset, page: &Page) -> Result<(), ApplyError> {
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
fn choose_bits(status: Option<&Status>, page: &Page) -> u8 {
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
