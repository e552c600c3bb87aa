//! The revision log as gateways see it: where it stands, what came after a revision, and the parts of the whole table.

use super::plans::Plan;
use crate::contract::{KeyHash, KeyRecord};

/// Where the revision log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Name of this history; gateways of another one need the whole table.
    pub epoch: String,
    /// The last revision given out.
    pub revision: u64,
    /// The random name of the commit that gave it out.
    pub tag: String,
}

/// How the name of a history begins that a restore began. One that a new database began has another: gateways take the
/// place of another history with a restored one, and with a new one only when told.
pub const RESTORED_EPOCH: &str = "r_";

impl Head {
    /// Whether this history began with a restore.
    pub fn is_restored(&self) -> bool {
        self.epoch.starts_with(RESTORED_EPOCH)
    }
}

/// One line of a page: what became of a hash.
#[derive(Debug)]
pub struct Change {
    /// Which key.
    pub hash: KeyHash,
    /// At which revision; zero in a reset.
    pub revision: u64,
    /// What the key may do now; `None` when it is gone.
    pub record: Option<KeyRecord>,
}

/// A part of the log, read in one transaction.
#[derive(Debug)]
pub struct Page {
    /// Where the log stood when the page was read.
    pub head: Head,
    /// The revision that a gateway is at with this page; of a reset, the head's.
    pub revision: u64,
    /// The tag of that revision.
    pub tag: String,
    /// All plans, when one of them has changed since, and at the beginning of a reset.
    pub plans: Vec<Plan>,
    /// The changes, in order of revision or, in a reset, of hash.
    pub changes: Vec<Change>,
    /// True when there are more changes behind these.
    pub more: bool,
}

/// What happened after a revision.
#[derive(Debug)]
pub enum Since {
    /// These changes, perhaps none, and the tag of the revision that they begin behind.
    Changes {
        /// The changes.
        page: Page,
        /// The tag.
        base_tag: String,
    },
    /// The log does not reach back that far.
    TooOld,
    /// The revision was never given out, or not under this tag: it is one of another history.
    Unknown,
}
