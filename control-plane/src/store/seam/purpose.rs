//! Who reads or notes waits only for others of the same purpose (ADR 0017).

use std::time::Duration;

/// What is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Pages for gateways: a revocation is on its way in them.
    Sync,
    /// What replicas tell each other of gateways: receipts and new gateways wait for it.
    Replicas,
    /// Whose limits gateways ask tokens of: a request may wait for it.
    Leases,
    /// `/v1`, for people and scripts with an admin token, and what the server itself needs.
    Api,
    /// Pages: a few rows each, the session first of all.
    Pages,
    /// Lists and searches in the pages, which may look at every row of a workspace.
    Lists,
    /// Counting for the metrics.
    Metrics,
}

impl Purpose {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Sync, Self::Replicas, Self::Leases, Self::Api, Self::Pages, Self::Lists, Self::Metrics];

    /// How long everything that is read on a connection may take together.
    pub(crate) const fn longest(self) -> Duration {
        match self {
            Self::Leases | Self::Pages | Self::Lists => Duration::from_secs(2),
            Self::Sync | Self::Replicas | Self::Api | Self::Metrics => Duration::from_secs(30),
        }
    }
}
