//! What a gateway answers to a request with a key, as far as the control plane can know: from the key's record and from what the
//! gateway has acknowledged. How much of a limit is used up only the gateway knows.

use jiff::Timestamp;

use super::error::{Error, Problems};
use super::gateways::GatewayView;
use super::keys::paste::may_hold_key;
use super::keys::{Key, Status, secret};
use crate::contract::{Environment, KeyHash, Protocol};

/// Which key is asked about. Never the key itself.
#[derive(Clone, Debug)]
pub enum Question {
    /// `key_…`.
    Id(String),
    /// What people see of it: `sk_live_…a1B2`. Several keys may have the same.
    Hint(String),
    /// SHA-256 of the whole key.
    Hash(KeyHash),
}

/// A question as it comes: exactly one of these.
#[derive(Clone, Debug, Default)]
pub struct QuestionDraft {
    /// `key_…`.
    pub id: Option<String>,
    /// `sk_live_…a1B2`.
    pub hint: Option<String>,
    /// 64 hexadecimal digits.
    pub hash: Option<String>,
}

/// What a gateway answers to a request with the key now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The key is good: 200, or 429 while a limit of it is used up.
    Accepted,
    /// The same of a key in shadow: 200 also over a limit and outside its restrictions.
    Shadowed,
    /// 401: the key is good, and the gateway's filter does not understand its restrictions, its plan or that it is in shadow.
    NotUnderstood,
    /// 401: no key has that hash.
    Unknown,
    /// 401: the key is revoked.
    Revoked,
    /// 401: the key's time is over.
    Expired,
    /// 503: the gateway says that none of its workers has a table.
    NoTable,
    /// 503: our answers do not arrive, and its table is too old by its own configuration.
    Stale,
    /// By the table of another database, which it keeps.
    OtherDatabase,
    /// Only in general: the gateways that are connected answer differently.
    Differs,
    /// As before the key's last change, which it has not acknowledged.
    Behind,
    /// What it enforces is not known: it is not connected, has acknowledged nothing of this database, or its acknowledgements do not
    /// count.
    NotKnown,
}

const NO_KEY: &str = "looks like an API key, which must not be sent: `flamegate-control explain` reads it from standard input and \
    sends its hash; revoke the key if others may have seen it";

impl QuestionDraft {
    /// The question, or what is wrong with it. What came is not repeated.
    pub fn check(self) -> Result<Question, Error> {
        let Self { id, hint, hash } = self;
        let mut problems = Problems::default();
        for (path, text) in [("id", &id), ("hint", &hint), ("hash", &hash)] {
            if text.as_deref().is_some_and(may_hold_key) {
                problems.add(path, NO_KEY);
            }
        }
        problems.check()?;
        match (id, hint, hash) {
            (Some(id), None, None) => Ok(Question::Id(id)),
            (None, Some(hint), None) => {
                let known = hint == secret::UNKNOWN_HINT
                    || [Environment::Live, Environment::Test].into_iter().any(|e| secret::is_hint(e, &hint));
                let wrong = "must be the prefix, … and at most four characters, such as sk_live_…a1B2";
                if known { Ok(Question::Hint(hint)) } else { Err(Error::invalid("hint", wrong)) }
            }
            (None, None, Some(hash)) => KeyHash::from_hex(&hash)
                .map(Question::Hash)
                .ok_or_else(|| Error::invalid("hash", "must be 64 hexadecimal digits")),
            _ => Err(Error::invalid("id", "give one of id, hint and hash")),
        }
    }
}

impl Verdict {
    /// Of a gateway that enforces everything.
    pub fn of_key(key: Option<&Key>, now: Timestamp) -> Self {
        let Some(key) = key else { return Self::Unknown };
        match key.status(now) {
            Status::Active if key.shadow => Self::Shadowed,
            Status::Active => Self::Accepted,
            Status::Revoked => Self::Revoked,
            Status::Expired => Self::Expired,
        }
    }

    /// Of the gateways that are connected, when all of them answer the same; of one that enforces everything when there are none.
    pub fn in_general(of_key: Self, connected: &[Self]) -> Self {
        match connected {
            [] => of_key,
            [first, others @ ..] if others.iter().all(|other| other == first) => *first,
            _ => Self::Differs,
        }
    }

    /// Of this gateway. `head` is the log's revision: whoever enforces that enforces a change that has left the log, too.
    pub fn of_gateway(gateway: &GatewayView, key: Option<&Key>, head: u64, now: Timestamp) -> Self {
        if gateway.connected && gateway.stale {
            return Self::Stale;
        }
        if gateway.connected && gateway.other_database {
            return Self::OtherDatabase;
        }
        // Its sync has the keys, its workers have none of them: another `vm_id`.
        if gateway.connected && gateway.workers == Some(0) {
            return Self::NoTable;
        }
        // What it serves by is not ours, or not whole: the table of another database, or the old one while it fetches ours.
        let Some(acknowledged) = gateway.acknowledged else { return Self::NotKnown };
        // What no key has was never in a table.
        let needed = key.map_or(0, |key| key.revision.unwrap_or(head));
        if acknowledged < needed {
            return Self::Behind;
        }
        let needs_two = key.is_some_and(Key::needs_protocol_2);
        match Self::of_key(key, now) {
            // Whether it still runs is not known, so nothing passes there for sure.
            Self::Accepted | Self::Shadowed if !gateway.connected => Self::NotKnown,
            Self::Accepted | Self::Shadowed if needs_two && gateway.accepts == Protocol::One => {
                Self::NotUnderstood
            }
            other => other,
        }
    }

    /// The status that a client gets; `None` when that is not known.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Accepted | Self::Shadowed => Some(200),
            Self::NotUnderstood | Self::Unknown | Self::Revoked | Self::Expired => Some(401),
            Self::NoTable | Self::Stale => Some(503),
            Self::OtherDatabase | Self::Differs | Self::Behind | Self::NotKnown => None,
        }
    }

    /// The code in the client's answer; `None` for one that passes, and when that is not known.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::NotUnderstood | Self::Unknown | Self::Revoked | Self::Expired => Some("INVALID_API_KEY"),
            Self::NoTable | Self::Stale => Some("UNAVAILABLE"),
            Self::Accepted
            | Self::Shadowed
            | Self::OtherDatabase
            | Self::Differs
            | Self::Behind
            | Self::NotKnown => None,
        }
    }

    /// Its name; part of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Shadowed => "shadowed",
            Self::NotUnderstood => "not_understood",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::NoTable => "no_table",
            Self::Stale => "stale",
            Self::OtherDatabase => "other_database",
            Self::Differs => "differs",
            Self::Behind => "behind",
            Self::NotKnown => "not_known",
        }
    }

    /// The same for people.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Accepted => {
                "the key is active; 429 RATE_LIMITED while one of its limits is used up, which only the gateway knows; 403 FORBIDDEN for what its restrictions do not name; 401 where \
                 the gateway does not accept its environment"
            }
            Self::Shadowed => {
                "the key is active and in shadow: over a limit or outside its restrictions it passes, is counted, and has the header x-flametalk-shadow; 401 where the \
                 gateway does not accept its environment"
            }
            Self::NotUnderstood => {
                "the key is active and has restrictions or a plan, or is in shadow, which the gateway's filter does not understand: it refuses the key until it is updated"
            }
            Self::Unknown => "no key here has this hash",
            Self::Revoked => "the key is revoked",
            Self::Expired => "the key has expired",
            Self::NoTable => {
                "the gateway says that its workers have no key table: it starts, or its sync fills another vm_id's"
            }
            Self::Stale => {
                "our answers do not reach the gateway, and its table is older than its max_staleness_seconds"
            }
            Self::OtherDatabase => {
                "the gateway has the table of another database, keeps it, and answers by that: most often the control plane was \
                 started with a wrong database (FLAMEGATE_DATABASE, --database), now or when the gateway took its table; when this is \
                 the right one, start the control plane once with serve --init, or start that Envoy again"
            }
            Self::Differs => "the gateways that are connected answer differently: see each of them",
            Self::Behind => {
                "the gateway has not acknowledged the key's last change, and may answer as before it"
            }
            Self::NotKnown => {
                "the gateway is not connected, has not asked since the control plane's start, its acknowledgements do not count, or it has \
                 acknowledged nothing of this database: if it runs, it serves by the table that it has, and may accept what is revoked here"
            }
        }
    }
}

#[cfg(test)]
mod tests;
