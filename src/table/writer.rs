//! The one writer of the key table: applies pages, grows the table, cleans up behind itself.
//!
//! Order of writes is the whole protocol: buckets first, then the change ring, then `status`. A writer that dies between
//! two of them leaves a table that is at most newer than `status` says, and whoever goes on from `status` applies the
//! same page again. A table with other bits is written whole before `status` names it, and the old one is emptied
//! ([`TableWriter::housekeeping`]) only when every live worker has moved; `status.other` says that there is one.
//!
//! The writer holds a lease, which is no fence: one that was stopped for seconds may find that another has taken over.
//! `status` is only ever replaced in the version that was read before the first bucket was written. When that fails, the
//! buckets may be a mixture of two writers' work, so the table is marked and replaced as a whole.

mod growth;
mod reset;

use crate::api_key::KeyHash;
use crate::host::{Expect, HostError, Now, SharedData, Write};
use crate::sync::wire::Page;

use super::bucket::{Bucket, EncodedRecord, Entry, encode_bucket};
use super::status::{CHANGES_KEY, ChangeRing, STATUS_KEY, Status};
use super::{bucket_key, bucket_of};

use growth::{Growth, Retired, copy_bucket};
use reset::Reset;

/// Why a page could not be applied. Nothing is lost: the page is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// The host refused a call.
    Host(HostError),
    /// Somebody else writes the table; this writer has to stand back.
    Contended,
    /// A difference came although there is no table, or it was lost or damaged: a reset is needed.
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
    retired: Option<Retired>,
}

/// One bucket's new content, sorted: a record to write, or `None` for a removal.
type Change = (KeyHash, Option<EncodedRecord<'static>>);

impl TableWriter {
    /// A writer that goes on from `status`: what another one left beside the table is emptied.
    pub fn resume(status: Option<&Status>) -> Self {
        let retired = status.and_then(|status| status.other).map(Retired::new);
        Self { retired, ..Self::default() }
    }

    /// Applies a page of changes and returns the new status.
    pub fn apply_difference<H: SharedData>(
        &mut self,
        host: &H,
        page: &Page,
        now: Now,
    ) -> Result<Status, ApplyError> {
        let result = self.difference(host, page, now);
        heal_contention(host, result)
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
        let result = self.reset_page(host, page, after, now);
        if result.is_err() {
            self.reset = None;
        }
        heal_contention(host, result)
    }

    /// Notes that the control plane was reached and had nothing new for the table of `epoch`.
    pub fn confirm<H: SharedData>(host: &H, epoch: &str, now: Now) -> Result<(), ApplyError> {
        let (status, expect) = Status::read_versioned(host).map_err(ApplyError::Host)?;
        let status = status.filter(|status| status.epoch == epoch).ok_or(ApplyError::NoTable)?;
        replace(host, STATUS_KEY, &Status { synced: now, ..status }.encode(), expect)
    }

    fn difference<H: SharedData>(&mut self, host: &H, page: &Page, now: Now) -> Result<Status, ApplyError> {
        let (status, expect) = Status::read_versioned(host).map_err(ApplyError::Host)?;
        let status = status.filter(|status| status.epoch == page.epoch).ok_or(ApplyError::NoTable)?;
        let changes = collect_changes(page);
        let mut keys = status.keys;
        let mut touched = Vec::new();
        let same_bucket =
            |(a, _): &Change, (b, _): &Change| bucket_of(a, status.bits) == bucket_of(b, status.bits);
        for group in changes.chunk_by(same_bucket) {
            let Some((first, _)) = group.first() else { continue };
            let bucket = bucket_of(first, status.bits);
            let (before, after) = change_bucket(host, status.bits, bucket, group)?;
            keys = keys.saturating_add(after).saturating_sub(before);
            touched.push(bucket);
            if let Some(growth) = self.growth.as_ref().filter(|growth| growth.has_copied(bucket)) {
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
        replace(host, STATUS_KEY, &next.encode(), expect)?;
        self.grow_if_crowded(&next);
        Ok(next)
    }
}

/// Makes every worker forget what it has cached and move to `next`, which replaces exactly the status that was read.
fn announce_anew<H: SharedData>(host: &H, next: &Status, expect: Expect) -> Result<(), ApplyError> {
    put(host, CHANGES_KEY, &ChangeRing { floor: next.sequence, entries: Vec::new() }.encode())?;
    replace(host, STATUS_KEY, &next.encode(), expect)
}

/// After two writers met nobody knows what the buckets hold: the table is marked, and a whole one is asked for.
fn heal_contention<H: SharedData, T>(host: &H, result: Result<T, ApplyError>) -> Result<T, ApplyError> {
    if matches!(result, Err(ApplyError::Contended)) {
        Status::disown(host).map_err(ApplyError::Host)?;
    }
    result
}

fn buckets(bits: u8) -> u32 {
    1u32.checked_shl(u32::from(bits)).unwrap_or(u32::MAX)
}

/// Upserts and removals of a page as one list, sorted by hash. If a hash should be in both, the removal counts.
fn collect_changes(page: &Page) -> Vec<Change> {
    let mut changes: Vec<Change> = page.removals.iter().map(|hash| (hash.0, None)).collect();
    changes
        .extend(page.upserts.iter().map(|upsert| (upsert.hash.0, Some(EncodedRecord::new(&upsert.record)))));
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
    let upserts = changes.iter().filter_map(|(hash, record)| Some((*hash, record.as_ref()?.borrowed())));
    entries.extend(upserts);
    entries.sort_by_key(|(hash, _)| *hash);
    replace(host, &key, &encode_bucket(&entries), Expect::Version(stored.cas))?;
    let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
    Ok((count(old.len()), count(entries.len())))
}

/// Writes a value whose content does not depend on what was there.
fn put<H: SharedData>(host: &H, key: &str, bytes: &[u8]) -> Result<(), ApplyError> {
    host.write(key, bytes, Expect::Any).map(drop).map_err(ApplyError::Host)
}

/// Writes a value that was made from what `expect` names.
fn replace<H: SharedData>(host: &H, key: &str, bytes: &[u8], expect: Expect) -> Result<(), ApplyError> {
    match host.write(key, bytes, expect) {
        Ok(Write::Stored) => Ok(()),
        Ok(Write::Conflict) => Err(ApplyError::Contended),
        Err(error) => Err(ApplyError::Host(error)),
    }
}

#[cfg(test)]
mod tests;
