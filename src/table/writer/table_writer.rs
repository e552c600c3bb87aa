//! The writer's memory, and a difference applied.

use crate::contract::key::KeyHash;
use crate::contract::page::Page;
use crate::host::{Expect, Now, SharedData};

use crate::table::bucket::{Bucket, EncodedRecord, Entry, encode_bucket};
use crate::table::layout::{bucket_key, bucket_of};
use crate::table::plans;
use crate::table::status::{CHANGES_KEY, ChangeRing, STATUS_KEY, Status};

use super::error::ApplyError;
use super::growth::{Growth, Retired, copy_bucket};
use super::reset::Reset;
use super::steps::{heal_contention, put, replace};

/// Applies pages to the table in shared data. Holds nothing that cannot be read back from `status`, apart from
/// unfinished business (a reset, a growth), which starts again if the writer dies.
#[derive(Debug, Default)]
pub struct TableWriter {
    pub(super) reset: Option<Reset>,
    pub(super) growth: Option<Growth>,
    pub(super) retired: Option<Retired>,
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
        if !page.plans.is_empty() {
            plans::write(host, &page.plans).map_err(ApplyError::Host)?;
        }
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
        if !page.plans.is_empty() {
            // A plan is of any number of keys: everybody forgets what was prepared.
            next.sequence = next.sequence.saturating_add(1);
            put(host, CHANGES_KEY, &ChangeRing { floor: next.sequence, entries: Vec::new() }.encode())?;
        } else if !touched.is_empty() {
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
