//! What was seen a moment ago of what costs a look at the database.

use std::time::Instant;

use crate::domain::keys::{KeyCounts, NoticeCounts};

/// What the last look at the database said.
pub(in crate::http) struct Readiness {
    pub(in crate::http) at: Instant,
    pub(in crate::http) writable: bool,
}

/// Keys as they were counted last.
pub(in crate::http) struct Counted {
    /// When they may be counted again.
    pub(in crate::http) until: Instant,
    pub(in crate::http) keys: (KeyCounts, NoticeCounts),
}
