//! For what a connection is wanted: how long that may take, and how its transactions begin.

use std::time::Duration;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reading, for at most so long altogether.
    Read(Duration),
    /// Writing, after all others.
    Write,
    /// Writing beside the others what may be lost with the server.
    Note,
    /// Reading or writing everything, while nobody else writes.
    Copy,
}

/// The lock that every write begins with. Any number would do that nobody else locks in this database.
pub const WRITE_LOCK: i64 = 0x666c_616d_6567;
/// How long a reader waits for others of the same purpose.
const PLACE: Duration = Duration::from_secs(5);
/// How long a write waits for the others, those of other replicas too.
const LOCK: Duration = Duration::from_secs(10);
/// A replica that was stopped in the middle of a write keeps all others waiting this long: then the server ends its transaction.
const IDLE: Duration = Duration::from_secs(3);
/// How long a transaction may take to begin where it waits for nobody.
const BEGIN: Duration = Duration::from_secs(5);
/// What is added here to what the server allows, so that its answer is heard.
pub const GRACE: Duration = Duration::from_secs(1);
/// How long a write may take altogether.
const WRITE: Duration = Duration::from_secs(20);
/// How long copying everything may take.
const COPY: Duration = Duration::from_secs(3600);
/// How a transaction begins that sees one moment.
pub const ONE_MOMENT: &str = " ISOLATION LEVEL REPEATABLE READ";

impl Mode {
    /// How long everything together may take.
    pub const fn longest(self) -> Duration {
        match self {
            Self::Read(longest) => longest,
            Self::Write | Self::Note => WRITE,
            Self::Copy => COPY,
        }
    }

    /// How long a caller waits for others of this replica.
    pub const fn patience_for_a_place(self) -> Duration {
        match self {
            Self::Read(_) | Self::Note => PLACE,
            Self::Write | Self::Copy => WRITE,
        }
    }

    /// How long the beginning and the end may take.
    pub fn patience(self) -> Duration {
        match self {
            Self::Read(longest) => BEGIN.min(longest + GRACE),
            Self::Write | Self::Copy => LOCK + GRACE,
            Self::Note => BEGIN,
        }
    }

    /// The statements that begin a transaction. What they set ends with it. The last one answers whether this is a standby.
    pub fn begin(self, level: &str) -> String {
        let (access, rest) = match self {
            Self::Read(_) => (" READ ONLY", String::new()),
            // What is acknowledged is on disk, whatever the server does for others.
            Self::Write | Self::Copy => (
                "",
                format!("SET LOCAL synchronous_commit = on; SELECT pg_advisory_xact_lock({WRITE_LOCK}); "),
            ),
            Self::Note => ("", "SET LOCAL synchronous_commit = off; ".to_owned()),
        };
        let idle = if self == Self::Copy { COPY } else { IDLE };
        let (longest, lock, idle) = (self.longest().as_millis(), LOCK.as_millis(), idle.as_millis());
        format!(
            "BEGIN{level}{access}; SET LOCAL statement_timeout = {longest}; SET LOCAL lock_timeout = {lock}; \
             SET LOCAL idle_in_transaction_session_timeout = {idle}; {rest}SELECT pg_is_in_recovery() AS standby"
        )
    }
}
