//! Whether there can be fleet limits.

use crate::domain::error::Error;
use crate::domain::limits::LimitDraft;

/// Why there are no fleet limits.
pub const NO_ENGINE: &str = "limits of the whole fleet need FLAMEGATE_LIMIT_STORE: several control planes may serve this database, and \
                             nothing counts for all of them";

/// Whether something counts for the whole fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Possible(pub bool);

impl Possible {
    /// Refuses fleet limits where nothing would count them.
    pub(crate) fn check<'d>(
        self,
        at: &str,
        drafts: impl IntoIterator<Item = &'d LimitDraft>,
    ) -> Result<(), Error> {
        let is_fleet = |draft: &LimitDraft| draft.reach.as_deref() == Some("fleet");
        if !self.0 && drafts.into_iter().any(is_fleet) {
            return Err(Error::invalid(at, NO_ENGINE));
        }
        Ok(())
    }
}
