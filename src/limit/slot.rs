//! One limit of one key, prepared when its record enters the worker's memory, so that a request computes nothing.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use sha2::{Digest, Sha256};

use super::gcra::Quota;
use super::terms::Terms;
use crate::bytes::equal;
use crate::contract::key::KeyHash;
use crate::contract::record::{KeyRecord, Limit, Scope, WhenUnreachable};

/// A limit of one record: whose tokens it takes and how many there are.
#[derive(Clone, Debug)]
pub struct Slot {
    pub(super) account: Account,
    pub(super) sizing: Sizing,
    /// The subject as the version before named it, see [`super::version1`].
    pub(super) before: Subject,
    /// There for a limit whose tokens are lent to the fleet's gateways.
    pub(super) fleet: Option<Box<Terms>>,
    /// Whether it refuses while nothing can be lent.
    pub(super) refuses_alone: bool,
    name: String,
    scope: Scope,
}

/// Who uses up a limit: a key or a workspace, together with the limit's name. The first half of a SHA-256, so it is mixed already
/// and nobody can choose it.
#[derive(Clone, Copy, Debug, Eq, PartialOrd, Ord)]
pub struct Subject(pub [u8; 16]);

/// A subject and the numbers that it is counted by. Whatever is remembered of a limit, in a worker and in shared data, is
/// remembered for an account: other numbers find no lease and no refusal of older ones. What they have in common is how
/// much was used, see [`States`](super::states::States).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose.
    pub subject: Subject,
    /// Rate and burst.
    pub quota: Quota,
}

/// How large leases of a limit may be and how long a refusal stands; see [the bound](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// Most tokens in one lease.
    pub max: u32,
    /// A lease this small does not matter to anybody, so a worker may take it at once and keep it long.
    pub spare: u32,
    /// A lease this large may be taken from whatever is left: what comes during the pause.
    pub floor: u32,
    /// A refusal stands at least this long, so that workers do not race for each token of a fast limit that is used up.
    pub pause_ns: u64,
}

/// Number of buckets in shared data, see [`super::bucket`]. A process pays about 200 KB for the keys once all are in use; 100,000 subjects in use at once make
/// 3.9 KB per bucket and a million 39 KB, which is what each lease copies under the host's mutex.
pub const BUCKETS: u16 = 1024;

/// A lease takes at most this part of what is available, so a limit below 2 * [`SHARE`] gives one token at a time.
pub const SHARE: u64 = 64;
/// A lease of at most this part of the burst is spare: 64 workers that each hold one keep 1.6 % from the others.
pub const SPARE_SHARE: u64 = 4096;
/// Most tokens in a lease; beyond this the host calls no longer show in the cost of a request.
pub const MAX_LEASE: u32 = 256;
/// How long a token may wait for somebody to take it, when leases may be larger than one; a fifth of it otherwise.
pub const PATIENCE_NS: u64 = 5_000_000;

impl Slot {
    /// Prepares `limit`, one of the limits of `record`, whose key hashes to `hash`.
    pub fn new(limit: &Limit, hash: &KeyHash, record: &KeyRecord) -> Self {
        let quota = Quota::new(limit.requests, limit.window_seconds, limit.burst());
        let account = Account { subject: Subject::new(limit, hash, record), quota };
        Self {
            account,
            sizing: Sizing::new(quota),
            before: Subject::before(limit, record).unwrap_or(account.subject),
            fleet: Terms::of(limit, &record.id, &record.workspace).map(Box::new),
            refuses_alone: limit.when_unreachable == WhenUnreachable::Refuse,
            name: limit.name.clone(),
            scope: limit.scope,
        }
    }

    /// The limit's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tokens that a request of this `cost` takes: at most the burst, or nothing could ever admit it.
    #[inline]
    pub fn need(&self, cost: u32) -> u32 {
        if cost == 1 { cost } else { u32::try_from(self.account.quota.burst()).unwrap_or(u32::MAX).min(cost) }
    }

    /// True when all gateways of the fleet count it together.
    pub const fn is_fleet(&self) -> bool {
        self.fleet.is_some()
    }

    /// True when it refuses while nothing can be lent.
    pub const fn refuses_alone(&self) -> bool {
        self.refuses_alone
    }

    /// Who shares the limit.
    pub const fn scope(&self) -> Scope {
        self.scope
    }
}

impl Subject {
    fn new(limit: &Limit, hash: &KeyHash, record: &KeyRecord) -> Self {
        // Names hold no zero byte, so the parts cannot run into each other.
        match limit.scope {
            Scope::Key => Self::hashed([b"key", &hash.0, limit.name.as_bytes()]),
            Scope::Workspace => {
                Self::hashed([b"workspace", record.workspace.as_bytes(), limit.name.as_bytes()])
            }
        }
    }

    /// The name that the version before gave to a workspace's limit, with its numbers in it; `None` for a key's, which is
    /// the same.
    fn before(limit: &Limit, record: &KeyRecord) -> Option<Self> {
        let numbers = [limit.requests, limit.window_seconds, limit.burst()].map(|n| n.get().to_le_bytes());
        let owner = [numbers.as_flattened(), record.workspace.as_bytes()].concat();
        let is_shared = limit.scope == Scope::Workspace;
        is_shared.then(|| Self::hashed([b"workspace", &owner, limit.name.as_bytes()]))
    }

    fn hashed(parts: [&[u8]; 3]) -> Self {
        let digest: [u8; 32] = Sha256::digest(parts.join(&0)).into();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    /// Number of its bucket in shared data.
    pub fn bucket(self) -> u16 {
        let [.., high, low] = self.0;
        u16::from_be_bytes([high, low]) % BUCKETS
    }
}

impl Sizing {
    fn new(quota: Quota) -> Self {
        let small = |tokens: u64, most: u32| u32::try_from(tokens).unwrap_or(u32::MAX).clamp(1, most);
        let max = small(quota.burst() / SHARE, MAX_LEASE);
        let spare = u32::try_from(quota.burst() / SPARE_SHARE).unwrap_or(u32::MAX).min(max);
        let patience_ns = if max == 1 { PATIENCE_NS / 5 } else { PATIENCE_NS };
        let meanwhile = patience_ns.checked_div(quota.emission_ns()).unwrap_or(0);
        // A quarter of the burst: what comes during the pause must not spill over.
        let pause_ns = if meanwhile > 1 { patience_ns.min(quota.capacity_ns() / 4) } else { 0 };
        Self { max, spare, floor: small(meanwhile, max), pause_ns }
    }
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
    }
}

/// By the subject alone: there are seldom two accounts of one.
impl Hash for Account {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.subject.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// Takes a subject's first eight bytes as they are.
pub type AccountHasher = BuildHasherDefault<Prefix>;

/// The hasher behind [`AccountHasher`].
#[derive(Default)]
pub struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
