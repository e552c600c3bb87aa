//! Growing and cleaning up, in slices, one per tick, while changes are applied.

use crate::host::SharedData;
use crate::table::layout::{MAX_BITS, bucket_key, buckets};
use crate::table::status::{STATUS_KEY, Status};

use super::error::ApplyError;
use super::growth::{Growth, Retired, copy_bucket};
use super::steps::{announce_anew, heal_contention, put, replace};
use super::table_writer::TableWriter;

/// The table grows when it holds this many keys per bucket.
const GROW_AT: u64 = 64;
/// Growing quadruples the number of buckets, so that it happens seldom.
const GROWTH_BITS: u8 = 2;
/// Buckets handled in one [`TableWriter::housekeeping`] call, to bound the time it takes.
const SLICE: u32 = 64;

impl TableWriter {
    /// Takes care of a table beside the one in use that nobody works on: what a reset or a growth left that broke off.
    pub fn adopt_leftovers(&mut self, status: Option<&Status>) {
        if self.reset.is_none() && !self.is_busy() {
            self.retired = status.and_then(|status| status.other).map(Retired::new);
        }
    }

    /// True while a growth or a clean-up is under way.
    pub const fn is_busy(&self) -> bool {
        self.growth.is_some() || self.retired.is_some()
    }

    /// A bounded piece of growing or cleaning up; call it on every tick. `enforced` says that every live worker has moved
    /// to the table in use, so that the old one may go.
    pub fn housekeeping<H: SharedData>(&mut self, host: &H, enforced: bool) -> Result<(), ApplyError> {
        let result = match self.retired {
            Some(retired) if enforced => self.empty_slice(host, retired),
            Some(_) => Ok(()),
            None => self.grow_slice(host),
        };
        if result.is_err() {
            self.growth = None;
        }
        heal_contention(host, result)
    }

    /// Starts to grow when the table is crowded and nothing else is going on.
    pub(super) const fn grow_if_crowded(&mut self, status: &Status) {
        let crowded = status.keys > GROW_AT.saturating_mul(1u64 << status.bits);
        if crowded && status.bits < MAX_BITS && !self.is_busy() && self.reset.is_none() {
            let to = status.bits.saturating_add(GROWTH_BITS);
            let to = if to > MAX_BITS { MAX_BITS } else { to };
            self.growth = Some(Growth { incarnation: status.incarnation, from: status.bits, to, next: 0 });
        }
    }

    /// An emptied bucket has no bytes at all, so that a worker which still reads there sees that the table has moved.
    fn empty_slice<H: SharedData>(&mut self, host: &H, retired: Retired) -> Result<(), ApplyError> {
        let end = retired.next.saturating_add(SLICE).min(buckets(retired.bits));
        for bucket in retired.next..end {
            let key = bucket_key(retired.bits, bucket);
            let stored = host.read(&key).map_err(ApplyError::Host)?;
            // A bucket that was never written stays that way.
            if stored.is_some_and(|stored| !stored.bytes.is_empty()) {
                put(host, &key, &[])?;
            }
        }
        self.retired = Some(Retired { next: end, ..retired });
        if end < buckets(retired.bits) {
            return Ok(());
        }
        self.retired = None;
        let (status, expect) = Status::read_versioned(host).map_err(ApplyError::Host)?;
        let Some(status) = status else { return Ok(()) };
        let next = Status { other: None, ..status };
        replace(host, STATUS_KEY, &next.encode(), expect)?;
        self.grow_if_crowded(&next);
        Ok(())
    }

    fn grow_slice<H: SharedData>(&mut self, host: &H) -> Result<(), ApplyError> {
        let Some(growth) = self.growth.as_mut() else { return Ok(()) };
        let (status, expect) = Status::read_versioned(host).map_err(ApplyError::Host)?;
        let same = |status: &Status| status.incarnation == growth.incarnation && status.bits == growth.from;
        let Some(status) = status.filter(same) else {
            self.growth = None;
            return Ok(());
        };
        if status.other != Some(growth.to) {
            let marked = Status { other: Some(growth.to), ..status };
            return replace(host, STATUS_KEY, &marked.encode(), expect);
        }
        let end = growth.next.saturating_add(SLICE).min(buckets(growth.from));
        for bucket in growth.next..end {
            copy_bucket(host, growth, bucket)?;
        }
        growth.next = end;
        if end < buckets(growth.from) {
            return Ok(());
        }
        let (from, to) = (growth.from, growth.to);
        self.growth = None;
        let sequence = status.sequence.saturating_add(1);
        announce_anew(host, &Status { bits: to, other: Some(from), sequence, ..status }, expect)?;
        self.retired = Some(Retired::new(from));
        Ok(())
    }
}
