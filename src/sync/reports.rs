//! What operators read of the sync: outages, once each, and tables that are not what one expects after the last one.
//!
//! An outage is told once it has lasted for 2 s: a control plane that is started again, a single poll that something cuts, and everything
//! going down together are none. The counter counts them all the same.

use crate::decision::metrics::{Counter, Counts};
use crate::host::Monotonic;
use crate::table::status::Status;

/// What was said, and what the next table is compared with.
#[derive(Debug, Default)]
pub struct Reports {
    /// Since when and why the sync fails, until that was said.
    unsaid: Option<(Monotonic, String)>,
    is_failing: bool,
    /// Epoch and number of keys of the last whole table.
    last: Option<(String, u64)>,
}

/// How long an outage lasts before it is told, in nanoseconds.
const TELL_AFTER_NS: u64 = 2_000_000_000;
/// A table of fewer keys says little when it shrinks.
const FEW_KEYS: u64 = 10;

impl Reports {
    /// The sync has failed, for this reason.
    pub fn failed(&mut self, why: String, now: Monotonic) {
        log::debug!("flamegate: sync failed: {why}");
        match &mut self.unsaid {
            // What lasts is worth more than how it began.
            Some((_, last)) => *last = why,
            None if self.is_failing => {}
            None => self.unsaid = Some((now, why)),
        }
        self.is_failing = true;
    }

    /// A tick: says what failed, once per outage.
    pub fn tell(&mut self, has_table: bool, now: Monotonic) {
        let lasts = |(since, _): &mut (Monotonic, String)| now.saturating_sub(*since) >= TELL_AFTER_NS;
        let Some((_, why)) = self.unsaid.take_if(lasts) else { return };
        if has_table {
            log::warn!("flamegate: sync failed, the last good table stays: {why}");
        } else {
            log::warn!("flamegate: sync failed, and there is no key table yet: {why}");
        }
    }

    /// The control plane can be followed.
    pub fn works(&mut self) {
        let was_said = self.unsaid.take().is_none();
        if std::mem::take(&mut self.is_failing) && was_said {
            log::info!("flamegate: sync works again");
        }
    }

    /// The table as it stands before anything is received.
    pub fn begin(&mut self, status: Option<&Status>) {
        let whole = status.filter(|status| !status.epoch.is_empty());
        if let Some(status) = whole {
            self.last = Some((status.epoch.clone(), status.keys));
        }
    }

    /// The table as it stands now. Another epoch and a table that lost more than half of its keys are applied like any other: a
    /// bulk revocation must not wait for anybody. They are told.
    pub fn table(&mut self, status: &Status, counts: &mut Counts) {
        let Status { epoch, keys, revision, .. } = status;
        if let Some((old_epoch, old_keys)) = &self.last {
            if old_epoch != epoch {
                counts.increment(Counter::TableEpochChanges);
                log::warn!(
                    "flamegate: the key table is of another database or a restored one now: epoch {old_epoch} with \
                     {old_keys} keys, then {epoch} with {keys}"
                );
            }
            if has_shrunk(*old_keys, *keys) {
                log::warn!(
                    "flamegate: the key table has shrunk: {old_keys} keys, then {keys} at revision {revision}"
                );
            }
        }
        self.last = Some((epoch.clone(), *keys));
    }
}

const fn has_shrunk(from: u64, to: u64) -> bool {
    from >= FEW_KEYS && to < from.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Now;

    fn status(epoch: &str, keys: u64) -> Status {
        let epoch = epoch.to_owned();
        Status {
            incarnation: 1,
            sequence: 1,
            revision: 1,
            bits: 0,
            keys,
            synced: Now::default(),
            epoch,
            other: None,
        }
    }

    #[test]
    fn another_epoch_counts_once_and_the_first_table_is_none() {
        let (mut reports, mut counts) = (Reports::default(), Counts::default());
        let mut changes = |reports: &mut Reports, epoch| {
            reports.table(&status(epoch, 1), &mut counts);
            counts.get(Counter::TableEpochChanges)
        };
        assert_eq!(
            ["e_1", "e_1", "e_2", "e_2", "e_1"].map(|epoch| changes(&mut reports, epoch)),
            [0, 0, 1, 1, 2]
        );
        // A new leader knows the table that is there; a mixture says nothing.
        let mut next = Reports::default();
        next.begin(Some(&status("e_1", 1)));
        next.begin(Some(&status("", 1)));
        assert_eq!(changes(&mut next, "e_2"), 3);
    }

    #[test]
    fn more_than_half_of_a_table_that_was_worth_the_word_is_a_shrunk_one() {
        let shrunk = [(200, 99), (200, 0), (10, 4), (11, 5)];
        let not = [(200, 100), (200, 300), (9, 0), (0, 0), (11, 6), (10, 5)];
        assert!(shrunk.iter().all(|(from, to)| has_shrunk(*from, *to)));
        assert!(!not.iter().any(|(from, to)| has_shrunk(*from, *to)));
    }

    #[test]
    fn an_outage_is_told_when_it_lasts_and_once() {
        let mut reports = Reports::default();
        reports.failed("cut".to_owned(), 5);
        reports.failed("cut again".to_owned(), 6);
        reports.tell(false, TELL_AFTER_NS + 4);
        assert_eq!(reports.unsaid, Some((5, "cut again".to_owned())), "who goes down now has said nothing");
        reports.tell(false, TELL_AFTER_NS + 5);
        reports.failed("and again".to_owned(), TELL_AFTER_NS + 6);
        assert_eq!(reports.unsaid, None);
        reports.works();
        reports.failed("another outage".to_owned(), TELL_AFTER_NS + 7);
        assert!(reports.unsaid.is_some());
        reports.works();
        assert!(!reports.is_failing && reports.unsaid.is_none(), "over before anybody was told");
    }
}
