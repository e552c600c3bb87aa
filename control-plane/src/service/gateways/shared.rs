//! What a replica knows of the others, beside the gateways.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::domain::error::Error;
use crate::domain::log::Head;
use crate::domain::random;
use crate::domain::replicas::{Line, Replica, SharedGateway};

/// What is known of the other replicas, and what they are to know.
pub(super) struct Shared {
    pub(super) me: Arc<str>,
    /// The id that it had before the database lost something.
    pub(super) instead_of: Option<Arc<str>>,
    pub(super) started_at: Timestamp,
    /// The count of what was written last.
    pub(super) beat: u64,
    /// All replicas as they were seen last.
    pub(super) replicas: Vec<Replica>,
    /// Up to which count of each its rows were seen.
    pub(super) seen: HashMap<String, u64>,
    /// The replicas without a heartbeat: what they kept is expected elsewhere.
    pub(super) dead: HashSet<String>,
    /// Revisions and tags under which was acknowledged what the table does not have yet. Of one number there may be two: what a
    /// failover has lost, and what was committed in its place.
    pub(super) rests_on: BTreeSet<(u64, String)>,
    /// Who was forgotten, as it was known.
    pub(super) forgotten: Vec<Line>,
    /// Gateways whose rows are another's, and were not seen as that.
    pub(super) to_see: Vec<String>,
    /// How often it has put together what it says; the last time of these that was written; and the last one behind which it has looked.
    pub(super) turns: u64,
    pub(super) told: u64,
    pub(super) seen_at: u64,
    /// A receipt rests on a later turn than this.
    pub(super) wanted: u64,
    /// The look that is under way, or was the last one, asks for all rows; when that was last answered, and how many gateways were heard
    /// of since.
    pub(super) asked_for_all: bool,
    pub(super) all_seen_at: Option<Instant>,
    pub(super) heard_since: usize,
    /// New names here since those that have no table were counted.
    pub(super) new_names: usize,
}

/// How often all rows are looked at: no row says who was pushed out. And that early when so many were heard of.
const ALL_AGAIN: Duration = Duration::from_secs(300);
pub(super) const HEARD_OF_MANY: usize = 1_000;

impl Shared {
    pub fn new(started_at: Timestamp) -> Result<Self, Error> {
        Ok(Self {
            me: new_id()?,
            instead_of: None,
            started_at,
            beat: 0,
            replicas: Vec::new(),
            seen: HashMap::new(),
            dead: HashSet::new(),
            rests_on: BTreeSet::new(),
            forgotten: Vec::new(),
            to_see: Vec::new(),
            turns: 0,
            told: 0,
            seen_at: 0,
            wanted: 0,
            asked_for_all: false,
            all_seen_at: None,
            heard_since: 0,
            new_names: 0,
        })
    }

    /// The id of this replica.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// All replicas, as they were seen last.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// Whether a gateway may have polled another replica since it polled this one.
    pub fn has_others(&self) -> bool {
        self.replicas.iter().any(|replica| replica.is_alive() && *replica.id != *self.me)
    }

    /// Whoever was forgotten here is to be forgotten by all; see [`Line::vanishes`].
    pub fn forget(&mut self, gateway: SharedGateway, vanishes: bool) {
        self.forgotten.push(Line::forgotten(gateway, vanishes));
    }

    /// What is acknowledged from now on rests on this head.
    pub fn rest_on(&mut self, head: &Head) {
        self.rests_on.insert((head.revision, head.tag.clone()));
    }

    /// What a look that begins now looks for: who looks, up to where it has seen, and which gateways besides.
    pub fn question(&mut self, now: Instant) -> (String, HashMap<String, u64>, Vec<String>) {
        let is_long_ago = |at: Instant| now.saturating_duration_since(at) >= ALL_AGAIN;
        self.asked_for_all = self.seen.is_empty()
            || self.heard_since >= HEARD_OF_MANY
            || self.all_seen_at.is_none_or(is_long_ago);
        let seen = if self.asked_for_all { HashMap::new() } else { self.seen.clone() };
        (self.me.to_string(), seen, self.to_see.clone())
    }

    /// A receipt begins, and rests on a later turn than the one that this returns.
    pub fn begin_receipt(&mut self) -> u64 {
        self.wanted = self.turns;
        self.turns
    }

    /// Replicas that may have answered somebody below this revision of whom we do not know: all that are there and have not said
    /// otherwise; this one, as long as it has not told and looked in a turn after `turn`. What it knows from before that may be of
    /// a history that is lost.
    pub fn behind(&self, revision: u64, turn: u64) -> Vec<String> {
        if self.seen_at <= turn {
            return vec![self.me.to_string()];
        }
        let is_behind = |replica: &&Replica| replica.is_alive() && replica.head < revision;
        let others = self.replicas.iter().filter(is_behind).map(|replica| replica.id.clone());
        let me = self.replicas.iter().any(|replica| *replica.id == *self.me);
        others.chain((!me).then(|| self.me.to_string())).collect()
    }

    /// Whether somebody was forgotten whom the others do not know of.
    pub fn has_news(&self) -> bool {
        !self.forgotten.is_empty()
    }
}

pub(super) fn new_id() -> Result<Arc<str>, Error> {
    random::id("r_").map(Arc::from)
}
