//! Which keys are asked for, and how many there are.

use super::key::Status;
use crate::contract::Environment;

/// Which keys a list shows.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// Only of this workspace.
    pub workspace_seq: Option<i64>,
    /// Only of this environment.
    pub environment: Option<Environment>,
    /// Only in this state.
    pub status: Option<Status>,
    /// Only keys whose name, hint or id has this in it, as `fold.rs` compares text.
    pub search: Option<String>,
    /// Only keys with exactly this hint.
    pub hint: Option<String>,
    /// Only keys made before the one with this `seq`.
    pub before: Option<i64>,
    /// How many of them to leave out.
    pub offset: u32,
}

/// How many keys there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// Accepted by the gateways.
    pub active: i64,
    /// Refused because someone said so.
    pub revoked: i64,
    /// Refused because their time is over.
    pub expired: i64,
}
