//! One page of a whole table received; what that means stands in `reset`.

use crate::contract::key::KeyHash;
use crate::contract::page::Page;
use crate::host::{Now, SharedData};
use crate::table::plans;
use crate::table::status::Status;

use super::error::ApplyError;
use super::growth::Retired;
use super::reset::{Reset, choose_bits, finished, write_range};
use super::steps::announce_anew;
use super::table_writer::TableWriter;

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
        // Nothing refers to those of the old table any more.
        plans::write(host, &reset.plans).map_err(ApplyError::Host)?;
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
            plans: page.plans.clone(),
            written: None,
        };
        // The old table serves on meanwhile.
        let mut both = plans::read(host).map_err(ApplyError::Host)?.unwrap_or_default();
        both.extend(page.plans.clone());
        plans::write(host, &both).map_err(ApplyError::Host)?;
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
