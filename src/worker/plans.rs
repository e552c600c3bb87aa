//! The plans that a worker knows: read when it meets one for the first time, forgotten with everything else when one of them has changed.

use crate::contract::plan::Plan;
use crate::contract::record::KeyRecord;
use crate::decision::denial::Unavailable;
use crate::host::SharedData;
use crate::table::plans::{self, Plans};
use crate::table::status::Status;

/// All plans as they stand in shared data; `None` when nobody has asked since something changed.
#[derive(Debug, Default)]
pub struct Known(Option<Plans>);

impl Known {
    /// Something has changed.
    pub fn forget(&mut self) {
        self.0 = None;
    }

    /// The plans of a record. One that is not there would have said how much the key may do.
    pub fn of<H: SharedData>(&mut self, host: &H, record: &KeyRecord) -> Result<Vec<&Plan>, Unavailable> {
        let names = || record.plan.iter().chain(&record.workspace_plan);
        if names().next().is_none() {
            return Ok(Vec::new());
        }
        let has_all = |known: &Plans| names().all(|name| known.contains_key(name));
        // A plan and its first record may have come since.
        if !self.0.as_ref().is_some_and(has_all) {
            self.0 = plans::read(host).map_err(|_| Unavailable::NoPlan)?;
            if self.0.is_none() {
                // A hole, as in the table: the sync has to replace all of it.
                let _ = Status::invalidate(host);
            }
        }
        let known = self.0.as_ref().ok_or(Unavailable::NoPlan)?;
        names().map(|name| known.get(name)).collect::<Option<_>>().ok_or(Unavailable::NoPlan)
    }
}
