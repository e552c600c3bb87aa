//! The one writer of the key table: applies pages, grows the table, cleans up behind itself.
//!
//! Order of writes is the whole protocol: buckets first, then the change ring, then `status`. A writer that dies between
//! two of them leaves a table that is at most newer than `status` says, and whoever goes on from `status` applies the
//! same page again. A table with other bits is written whole before `status` names it, and the old one is emptied
//! ([`TableWriter::housekeeping`]) only when every worker has moved.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::api_key::KeyHash;
use crate::host::{Expect, HostError, Now, SharedData, Write, random_u64};
use crate::sync::wire::Page;

use super::bucket::{Bucket, Entry, encode_bucket, encode_record};
use super::status::{CHANGES_KEY, ChangeRing, STATUS_KEY, Status};
use super::{MAX_BITS, bucket_key, bucket_of};

/// Why a page could not be applied. Nothing is lost: the page is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// The host refused a call.
    Host(HostError),
    /// Somebody else writes the table; this writer has to stand back.
    Contended,
    /// A difference came although there is no table, or shared data was lost: a reset is needed.
    NoTable,
    /// A reset page is no continuation of the pages before it.
    BrokenReset,
}

/// Applies pages to the table in shared data. Holds nothing that cannot be read back from `status`, apart from
/// unfinished business (a reset, a growth), which starts again if the writer dies.
#[derive(Debug, Default)]
pub struct TableWriter {
    reset: Option<Reset>,
    growth: Option<Growth>,
    /// (bits, next bucket) of a table that is no longer in use.
    retired: Option<(u8, u32)>,
}

/// A whole table being received page by page.
#[derive(Debug)]
struct Reset {
    bits: u8,
    keys: u64,
    /// Last hash received; the next page starts behind it.
    cursor: Option<KeyHash>,
    epoch: String,
    revision: u64,
}

/// The table being rewritten with more buckets.
#[derive(Debug)]
struct Growth {
    incarnation: u64,
    from: u8,
    to: u8,
    /// First bucket of the old table that is not yet copied.
    next: u32,
}

/// One bucket's new content, sorted: a record to write, or `None` for a removal.
type Change = (KeyHash, Option<Vec<u8>>);

/// Mean number of keys per bucket that a table is laid out for.
const KEYS_PER_BUCKET: u64 = 32;
/// The table grows when it holds this many keys per bucket.
const GROW_AT: u64 = 64;
/// Growing quadruples the number of buckets, so that it happens seldom.
const GROWTH_BITS: u8 = 2;
/// Buckets handled in one [`TableWriter::housekeeping`] call, to bound the time it takes.
const SLICE: u32 = 64;

impl TableWriter {
    /// Applies a page of changes and returns the new status.
    pub fn apply_difference<H: SharedData>(
        &mut self,
        host: &H,
        page: &Page,
        now: Now,
    ) -> Result<Status, ApplyError> {
        let status = Status::read(host).map_err(ApplyError::Host)?.ok_or(ApplyError::NoTable)?;
        if status.epoch != page.epoch {
            return Err(ApplyError::NoTable);
        }
        let changes = collect_changes(page);
        let mut keys = status.keys;
        let mut touched = Vec::new();
        for group in changes.chunk_by(|(a, _), (b, _)| bucket_of(a, status.bits) == bucket_of(b, status.bits))
        {
            let Some((first, _)) = group.first() else { continue };
            let bucket = bucket_of(first, status.bits);
            let (before, after) = change_bucket(host, status.bits, bucket, group)?;
            keys = keys.saturating_add(after).saturating_sub(before);
            touched.push(bucket);
            if let Some(growth) = self.growth.as_ref().filter(|growth| bucket < growth.next) {
                copy_bucket(host, growth, bucket)?;
            }
        }
        let mut next = Status { revision: page.revision, keys, synced: now, ..status };
        if !touched.is_empty() {
            next.sequence = next.sequence.saturating_add(1);
            let mut ring = ChangeRing::read(host).map_err(ApplyError::Host)?;
            if ring.floor == u64::MAX {
                ring = ChangeRing { floor: next.sequence, entries: Vec::new() };
            }
            ring.push(next.sequence, touched);
            put(host, CHANGES_KEY, &ring.encode())?;
        }
        put(host, STATUS_KEY, &next.encode())?;
        self.grow_if_crowded(&next);
        Ok(next)
    }

    /// Applies one page of a whole table; `after` is the cursor that it was asked with, `None` for the first page. Returns
    /// the status once the last page is in, `None` while more is to come.
    pub fn apply_reset<H: SharedData>(
        &mut self,
        host: &H,
        page: &Page,
        after: Option<KeyHash>,
        now: Now,
    ) -> Result<Option<Status>, ApplyError> {
        let status = Status::read(host).map_err(ApplyError::Host)?;
        if after.is_none() {
            let bits = reset_bits(status.as_ref(), page);
            self.growth = None;
            // The clean-up must not empty what is about to be written.
            self.retired = self.retired.filter(|(retired, _)| *retired != bits);
            self.reset = Some(Reset {
                bits,
                keys: 0,
                cursor: None,
                epoch: page.epoch.clone(),
                revision: page.revision,
            });
        }
        let Some(reset) = self.reset.as_mut() else { return Err(ApplyError::BrokenReset) };
        let last = page.upserts.last().map(|upsert| upsert.hash.0);
        if reset.cursor != after || reset.epoch != page.epoch || last.is_some_and(|hash| Some(hash) <= after)
        {
            self.reset = None;
            return Err(ApplyError::BrokenReset);
        }
        write_reset_range(host, reset, page)?;
        reset.keys = reset.keys.saturating_add(u64::try_from(page.upserts.len()).unwrap_or(u64::MAX));
        if page.more {
            reset.cursor = last;
            return Ok(None);
        }
        let next = finished_reset(reset, status.as_ref(), now);
        self.reset = None;
        let ring = ChangeRing { floor: next.sequence, entries: Vec::new() };
        put(host, CHANGES_KEY, &ring.encode())?;
        put(host, STATUS_KEY, &next.encode())?;
        self.retired = status.map(|old| old.bits).filter(|bits| *bits != next.bits).map(|bits| (bits, 0));
        Ok(Some(next))
    }

    /// Notes that the control plane was reached and had nothing new.
    pub fn confirm<H: SharedData>(host: &H, now: Now) -> Result<(), ApplyError> {
        let status = Status::read(host).map_err(ApplyError::Host)?.ok_or(ApplyError::NoTable)?;
        put(host, STATUS_KEY, &Status { synced: now, ..status }.encode())
    }

    /// Forgets a reset that will not be continued.
    pub fn abandon_reset(&mut self) {
        self.reset = None;
    }

    /// True while a growth or a clean-up is under way.
    pub fn is_busy(&self) -> bool {
        self.growth.is_some() || self.retired.is_some()
    }

    /// A bounded piece of growing or cleaning up; call it on every tick. `enforced` says that every worker has moved to
    /// the table in use, so that the old one may go.
    pub fn housekeeping<H: SharedData>(&mut self, host: &H, enforced: bool) -> Result<(), ApplyError> {
        if let Some((bits, next)) = self.retired {
            if !enforced {
                return Ok(());
            }
            let end = next.saturating_add(SLICE).min(buckets(bits));
            for bucket in next..end {
                put(host, &bucket_key(bits, bucket), &[])?;
            }
            self.retired = (end < buckets(bits)).then_some((bits, end));
            return Ok(());
        }
        if self.growth.is_some() { self.grow_slice(host) } else { Ok(()) }
    }

    fn grow_if_crowded(&mut self, status: &Status) {
        let crowded = status.keys > GROW_AT.saturating_mul(u64::from(buckets(status.bits)));
        if crowded && status.bits < MAX_BITS && !self.is_busy() && self.reset.is_none() {
            let to = status.bits.saturating_add(GROWTH_BITS).min(MAX_BITS);
            self.growth = Some(Growth { incarnation: status.incarnation, from: status.bits, to, next: 0 });
        }
    }

    fn grow_slice<H: SharedData>(&mut self, host: &H) -> Result<(), ApplyError> {
        let status = Status::read(host).map_err(ApplyError::Host)?;
        let same = |growth: &&mut Growth, status: &Status| {
            growth.incarnation == status.incarnation && growth.from == status.bits
        };
        let (Some(status), Some(growth)) = (status, self.growth.as_mut()) else {
            self.growth = None;
            return Ok(());
        };
        if !same(&growth, &status) {
            self.growth = None;
            return Ok(());
        }
        let end = growth.next.saturating_add(SLICE).min(buckets(growth.from));
        for bucket in growth.next..end {
            copy_bucket(host, growth, bucket)?;
        }
        growth.next = end;
        if end < buckets(growth.from) {
            return Ok(());
        }
        let next = Status { bits: growth.to, sequence: status.sequence.saturating_add(1), ..status };
        self.retired = Some((growth.from, 0));
        self.growth = None;
        put(host, CHANGES_KEY, &ChangeRing { floor: next.sequence, entries: Vec::new() }.encode())?;
        put(host, STATUS_KEY, &next.encode())
    }
}

/// The status at the end of a reset: a new sequence, so that every worker forgets what it cached.
fn finished_reset(reset: &Reset, old: Option<&Status>, now: Now) -> Status {
    Status {
        incarnation: old.map_or_else(random_u64, |status| status.incarnation),
        sequence: old.map_or(1, |status| status.sequence.saturating_add(1)),
        revision: reset.revision,
        bits: reset.bits,
        keys: reset.keys,
        synced: now,
        epoch: reset.epoch.clone(),
    }
}

/// Replaces everything between the cursor and the end of the page. What lies outside of that range stays as it is: the
/// table goes on serving while it is replaced.
fn write_reset_range<H: SharedData>(host: &H, reset: &Reset, page: &Page) -> Result<(), ApplyError> {
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
            entries.push((upsert.hash.0, Cow::Owned(encode_record(&upsert.record))));
        }
        entries.sort_by_key(|(hash, _)| *hash);
        replace(host, &key, &encode_bucket(&entries), stored.map(|stored| stored.cas))?;
    }
    Ok(())
}

/// How many bits a reset's table gets. Hashes are uniform, so the first page's last hash tells how many there are in all.
fn reset_bits(status: Option<&Status>, page: &Page) -> u8 {
    let records = u64::try_from(page.upserts.len()).unwrap_or(u64::MAX);
    let share = page.upserts.last().filter(|_| page.more).map_or(u64::MAX, |last| last.hash.0.prefix());
    let estimate = u128::from(records).saturating_mul(u128::from(u64::MAX)).checked_div(u128::from(share));
    let keys = estimate.and_then(|keys| u64::try_from(keys).ok()).unwrap_or(u64::MAX);
    let ideal = bits_for(keys);
    match status {
        // A table of about the right size is rewritten in place.
        Some(old) if near(ideal).contains(&old.bits) => old.bits,
        _ => ideal,
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

fn buckets(bits: u8) -> u32 {
    1u32.checked_shl(u32::from(bits)).unwrap_or(u32::MAX)
}

/// Upserts and removals of a page as one list, sorted by hash. If a hash should be in both, the removal counts.
fn collect_changes(page: &Page) -> Vec<Change> {
    let mut changes: Vec<Change> = page.removals.iter().map(|hash| (hash.0, None)).collect();
    changes.extend(page.upserts.iter().map(|upsert| (upsert.hash.0, Some(encode_record(&upsert.record)))));
    changes.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.is_some().cmp(&b.1.is_some())));
    changes.dedup_by_key(|(hash, _)| *hash);
    changes
}

/// Merges `changes` (all of this bucket) and returns the number of keys before and after.
fn change_bucket<H: SharedData>(
    host: &H,
    bits: u8,
    bucket: u32,
    changes: &[Change],
) -> Result<(u64, u64), ApplyError> {
    let key = bucket_key(bits, bucket);
    // A table in use has all its buckets: a hole means that shared data was lost, and only a reset mends that.
    let stored = host.read(&key).map_err(ApplyError::Host)?.ok_or(ApplyError::NoTable)?;
    let old = Bucket::parse(&stored.bytes).ok_or(ApplyError::NoTable)?;
    let changed = |hash: &KeyHash| changes.binary_search_by(|(other, _)| other.cmp(hash)).is_ok();
    let mut entries: Vec<Entry<'_>> = old.entries().filter(|(hash, _)| !changed(hash)).collect();
    let upserts =
        changes.iter().filter_map(|(hash, record)| Some((*hash, Cow::Borrowed(record.as_deref()?))));
    entries.extend(upserts);
    entries.sort_by_key(|(hash, _)| *hash);
    replace(host, &key, &encode_bucket(&entries), Some(stored.cas))?;
    let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
    Ok((count(old.len()), count(entries.len())))
}

/// Splits one bucket of the old table into its buckets of the new one.
fn copy_bucket<H: SharedData>(host: &H, growth: &Growth, bucket: u32) -> Result<(), ApplyError> {
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

/// Writes a value whose content does not depend on what was there.
fn put<H: SharedData>(host: &H, key: &str, bytes: &[u8]) -> Result<(), ApplyError> {
    host.write(key, bytes, Expect::Any).map(drop).map_err(ApplyError::Host)
}

/// Writes a value that was made from version `cas`.
fn replace<H: SharedData>(host: &H, key: &str, bytes: &[u8], cas: Option<u32>) -> Result<(), ApplyError> {
    match host.write(key, bytes, cas.map_or(Expect::Absent, Expect::Version)) {
        Ok(Write::Stored) => Ok(()),
        Ok(Write::Conflict) => Err(ApplyError::Contended),
        Err(error) => Err(ApplyError::Host(error)),
    }
}

#[cfg(test)]
mod tests;
