//! The keys of a measurement: made from their number, so that every run has the same ones and nothing is stored.

use flamegate::contract::key::{ApiKey, BASE62, Environment, KeyHash, checksum};
use flamegate::contract::record::{KeyRecord, Limit, Reach};
use flamegate::contract::restrict::Restrict;
use sha2::{Digest as _, Sha256};

/// What a key is limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 1,000,000 a minute, all of them at once if need be: never reached, leases of 256 tokens.
    Ordinary,
    /// No limit in the record.
    Unlimited,
    /// As fast as an ordinary one, but only 100 at once: a burst below 128 means one token per lease, so every request
    /// is counted in shared data. Small limits, such as 100 a second, take this path; this one is never reached.
    Exact,
    /// One request in 31 days: refused from the second on.
    UsedUp,
    /// 600,000 a minute, all of them at once if need be, counted by all gateways together: the fastest of those limits.
    Fleet,
    /// The same, counted by each gateway for itself.
    Gateway,
    /// As an ordinary one, for two methods and three paths.
    Restricted,
}

/// A key by kind and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it is limited to.
    pub kind: Kind,
    /// Which one.
    pub number: u32,
}

/// The keys of one table, sorted by hash, as the sync wants them.
pub struct Keys(Vec<(KeyHash, Key)>);

impl Key {
    /// An ordinary key.
    pub const fn ordinary(number: u32) -> Self {
        Self { kind: Kind::Ordinary, number }
    }

    /// The plaintext: 46 bytes with a valid checksum, as the control plane makes them.
    pub fn plaintext(self) -> String {
        let seed = Sha256::digest(format!("flamegate-bench {:?} {}", self.kind, self.number));
        let mut text = String::from("sk_live_");
        text.extend(seed.iter().map(|byte| char::from(BASE62[usize::from(*byte) % 62])));
        let sum = checksum(text.as_bytes());
        text.extend(sum.iter().map(|byte| char::from(*byte)));
        text
    }

    /// Its SHA-256.
    pub fn hash(self) -> KeyHash {
        hash(&self.plaintext())
    }

    /// Its record. Ids are as long as the control plane's; ten keys share a workspace.
    pub fn record(self) -> KeyRecord {
        let number = |number: u32| number.try_into().expect("not 0");
        let limit = |requests: u32, window_seconds: u32, burst: u32| Limit {
            burst: Some(number(burst)),
            ..Limit::per(number(requests), number(window_seconds))
        };
        let limits = match self.kind {
            Kind::Ordinary | Kind::Restricted => vec![limit(1_000_000, 60, 1_000_000)],
            Kind::Unlimited => Vec::new(),
            Kind::Exact => vec![limit(1_000_000, 60, 100)],
            Kind::UsedUp => vec![limit(1, 2_678_400, 1)],
            Kind::Fleet => vec![Limit { reach: Reach::Fleet, ..limit(600_000, 60, 600_000) }],
            Kind::Gateway => vec![limit(600_000, 60, 600_000)],
        };
        let id = format!("key_{}{:017}", self.kind as u8, self.number);
        let workspace = format!("ws_{:019}", self.number / 10);
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let restrict = (self.kind == Kind::Restricted).then(|| Restrict {
            methods: texts(&["GET", "HEAD"]),
            paths: texts(&["/v1/calls", "/v1/agents/*", "/v1/agents"]),
            addresses: Vec::new(),
        });
        KeyRecord { limits, restrict, ..KeyRecord::new(id, workspace, Environment::Live) }
    }
}

impl Keys {
    /// A table of `count` keys of one kind, and `extra` ones.
    pub fn new(kind: Kind, count: u32, extra: &[Key]) -> Self {
        let ordinary = (0..count).map(|number| Key { kind, number });
        let mut keys: Vec<_> = ordinary.chain(extra.iter().copied()).map(|key| (key.hash(), key)).collect();
        keys.sort_unstable_by_key(|(hash, _)| *hash);
        Self(keys)
    }

    /// All of them, sorted by hash.
    pub fn all(&self) -> &[(KeyHash, Key)] {
        &self.0
    }

    /// At most `limit` keys behind `cursor`.
    pub fn page(&self, cursor: Option<KeyHash>, limit: usize) -> &[(KeyHash, Key)] {
        let start = cursor.map_or(0, |cursor| self.0.partition_point(|(hash, _)| *hash <= cursor));
        &self.0[start..self.0.len().min(start + limit)]
    }
}

/// SHA-256 of a key in plaintext.
pub fn hash(plaintext: &str) -> KeyHash {
    ApiKey::from_bytes(plaintext.as_bytes()).expect("a well-formed key").hash()
}
