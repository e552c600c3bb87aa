//! Several control planes on one database: what each of them says there, of itself and of the gateways that poll it, and what it
//! finds there of the others ([ADR 0035](../../../docs/adr/0035-replicas.md)).
//!
//! Times are durations up to the moment at which something is written or read: the database counts from there, by its own clock.

use std::time::Duration;

use jiff::Timestamp;

use crate::contract::Protocol;

/// How long a replica counts as there after its last heartbeat, by the database's clock. Receipts wait for those that count.
pub const ALIVE: Duration = Duration::from_secs(5);

/// Most gateways that a look from the beginning finds: twice what a replica remembers, so it notices that it cannot remember all. Those
/// with a table come first, for receipts wait for them.
pub const MOST_SEEN_AT_ONCE: u32 = 20_000;

/// A replica, as the others find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Random, and another one after each start.
    pub id: String,
    /// Its program's version.
    pub version: String,
    /// When it began, by its own clock.
    pub started_at: Timestamp,
    /// Polls that it holds.
    pub polls: u32,
    /// Everything that it holds of gateways which it has answered below this revision is in the table.
    pub head: u64,
    /// How often it has written. Rows that it wrote with it say the number.
    pub beat: u64,
    /// Since it wrote last.
    pub age: Duration,
}

impl Replica {
    /// True while it may answer polls that nobody else knows of.
    pub fn is_alive(&self) -> bool {
        self.age <= ALIVE
    }
}

/// What all replicas know of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedGateway {
    /// `<credential>/<what the gateway calls itself>`.
    pub id: String,
    /// SHA-256 of its process's session.
    pub session: Option<[u8; 32]>,
    /// Its program's version.
    pub version: Option<String>,
    /// Who keeps this row: the replica that it polled last. `None` in rows of before there were replicas.
    pub keeper: Option<String>,
    /// The keeper's count when this was written.
    pub beat: u64,
    /// True once it has said that it has a table of this history.
    pub has_table: bool,
    /// The revision that it enforces, by its last poll.
    pub acknowledged: Option<u64>,
    /// Since it said so.
    pub acknowledged_ago: Duration,
    /// How long it still counts as connected without another poll.
    pub expected_for: Duration,
    /// It refuses requests because no answer has confirmed its table for too long.
    pub stale: bool,
    /// How many of its workers have the table.
    pub workers: Option<u32>,
    /// The protocol that every worker of it understands.
    pub accepts: Protocol,
    /// Whether a filter of it is in shadow; `None` for one that does not say.
    pub shadow: Option<bool>,
    /// It has the table of another database.
    pub other_database: bool,
    /// How long it still counts as leaving.
    pub leaving_for: Duration,
    /// Nobody counts on it any more.
    pub forgotten: bool,
    /// Its first poll, by the clock of the replica that it came to.
    pub first_seen: Timestamp,
    /// Its last poll.
    pub last_seen: Timestamp,
}

/// What a replica writes at once.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The replica.
    pub replica: String,
    /// Its program's version.
    pub version: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Its count with this; 1 makes its row.
    pub beat: u64,
    /// See [`Replica::head`].
    pub head: u64,
    /// Polls that it holds.
    pub polls: u32,
    /// The id that it had before a failure lost some of what it wrote; that row goes.
    pub instead_of: Option<String>,
    /// Revisions with their tags that the acknowledgements in it rest on. All are of the database's history, or nothing is written.
    pub rests_on: Vec<(u64, String)>,
    /// What became of gateways.
    pub gateways: Vec<Line>,
}

/// A gateway in a publication.
#[derive(Clone, Debug)]
pub struct Line {
    /// What is known of it.
    pub gateway: SharedGateway,
    /// True when it is ours from now on, whoever keeps it; otherwise it is written only while [`SharedGateway::keeper`] keeps it.
    pub takes: bool,
    /// True when the table may have no row of it yet. It gets no page before it has one for good.
    pub is_new: bool,
    /// True when its row goes at once, and none is left that says so: it was pushed out by many others. As long as somebody invents
    /// names, rows that tell of those that are gone would be without end. Whoever counts on it finds out in the next look from the beginning.
    pub vanishes: bool,
}

impl Line {
    /// A gateway that others keep no longer when this is written.
    pub fn forgotten(gateway: SharedGateway, vanishes: bool) -> Self {
        Self { gateway: SharedGateway { forgotten: true, ..gateway }, takes: false, is_new: false, vanishes }
    }
}

/// What became of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is there.
    Done {
        /// False when the others may have taken this replica for dead before it: what it held back has to wait until it has looked at
        /// where the log stands.
        was_alive: bool,
        /// Gateways that another replica or another process has: these lines were not written.
        lost: Vec<String>,
    },
    /// Nothing was written: the row of this replica is gone, or older than what it wrote last. The database has lost something.
    Superseded,
    /// Nothing was written: a revision that it rests on is not of the database's history.
    OtherHistory,
}

/// What a replica finds, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// When that was, by the database's clock.
    pub at: Option<Timestamp>,
    /// All replicas, itself too.
    pub replicas: Vec<Replica>,
    /// Gateways whose rows others have written since it looked last.
    pub gateways: Vec<SharedGateway>,
}
