//! Which keys are asked for, and how many there are.

use jiff::Timestamp;

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
    /// Only keys with this plan; for pages without a workspace, those of them that are not revoked.
    pub plan: Option<String>,
    /// Only keys in shadow.
    pub shadow: bool,
    /// Only keys with exactly this hint.
    pub hint: Option<String>,
    /// Only keys that somebody of this name has made.
    pub created_by: Option<String>,
    /// Only keys that end before then.
    pub ends_before: Option<Timestamp>,
    /// Only active keys that were not used since then, and were there and counted.
    pub unused_since: Option<Timestamp>,
    /// Only keys that have ended and with which somebody came since then.
    pub refused_since: Option<Timestamp>,
    /// In which order.
    pub order: KeyOrder,
    /// Only keys made before the one with this `seq`.
    pub before: Option<i64>,
    /// How many of them to leave out.
    pub offset: u32,
    /// For pages, with a workspace or a plan and without `before`: of the keys in each state no more than so many are looked at, in the list's order. What
    /// else is asked, of an environment, a maker or a text, is asked of those.
    pub look: Option<u32>,
}

/// In which order a list shows keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyOrder {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
    /// What ends soonest first, what never ends last; of keys that have expired, the latest first.
    Ends,
    /// Those with which somebody came last; with `refused_since`.
    LatestRefused,
    /// Those that were unused for the longest time, by the day (UTC); with `unused_since`, or with active keys.
    LongestUnused,
    /// What gateways accept first, each part with the newest first.
    WorkingFirst,
}

/// How many keys of a workspace are in each state; each is counted up to [`crate::domain::lists::MOST_COUNTED`] and one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// Accepted by the gateways.
    pub active: u64,
    /// Of those, the ones that end within 30 days.
    pub ending: u64,
    /// Refused because their time is over.
    pub expired: u64,
    /// Refused because someone said so.
    pub revoked: u64,
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

/// How many keys somebody ought to look at; counted up to [`crate::domain::lists::MOST_COUNTED`] and one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoticeCounts {
    /// Those that end within 1, 7 and 30 days.
    pub ends: [u64; 3],
    /// Those that have ended and are still used.
    pub still_used: u64,
    /// Those that were not used for 90 days.
    pub unused: u64,
}

impl NoticeCounts {
    /// By the names that metrics have for them.
    pub const fn by_kind(&self) -> [(&'static str, u64); 5] {
        let [day, week, month] = self.ends;
        [
            ("ends_1d", day),
            ("ends_7d", week),
            ("ends_30d", month),
            ("still_used", self.still_used),
            ("unused", self.unused),
        ]
    }
}
