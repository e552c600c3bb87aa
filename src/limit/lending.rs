//! Where the pools of lent tokens lie ([`super::pools`]): in shared data, so that all workers of a process take from the same. Beside them lies what wakes
//! who: in which buckets workers want something (`demand`), and how lending goes (`state`).
//!
//! Only the sync makes these values, and only it writes `state`. A missing value is inserted whatever version is named, so of two workers
//! that made one, one would use tokens that the other has taken, too. Where there is none, nothing is lent.

use super::bucket::Unavailable;
use super::pools::Pools;
use super::slot::Account;
use super::waiters::WAITERS_KEY;
use crate::bytes::Reader;
use crate::host::{Expect, HostError, Monotonic, SharedData, Write};

/// Number of buckets.
pub const BUCKETS: u8 = 64;
/// Shared-data key of [`Lending`].
pub const STATE_KEY: &str = "flamegate/pools/state";
/// Shared-data key of the buckets in which something is wanted, one bit each.
pub const DEMAND_KEY: &str = "flamegate/pools/demand";
/// The sync says so often that it is there, in nanoseconds.
pub const BEAT_NS: u64 = 500_000_000;
/// A sync that was silent for so long lends nothing any more, in nanoseconds.
const SILENT_NS: u64 = 3_000_000_000;
/// How often a lost compare-and-swap is tried again.
const ATTEMPTS: u32 = 16;
const VERSION: u8 = 1;

/// How lending goes, as the sync says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lending {
    /// Whether the control plane answers.
    pub works: bool,
    /// Goes up with each answer: whoever waits looks again.
    pub answers: u64,
    /// When the sync said so.
    pub at: Monotonic,
    /// The sync's shared queue plus one; 0 for none.
    pub queue: u32,
}

/// Shared-data key of a bucket.
pub fn pools_key(bucket: u8) -> String {
    format!("flamegate/pools/{bucket}")
}

/// The bucket of an account.
pub fn bucket_of(account: Account) -> u8 {
    let [.., last] = account.subject.0;
    last % BUCKETS
}

/// Makes what is not there; only the sync may.
pub fn make<H: SharedData>(host: &H) -> Result<(), HostError> {
    for key in (0..BUCKETS).map(pools_key).chain([DEMAND_KEY, WAITERS_KEY].map(str::to_owned)) {
        if host.read(&key)?.is_none() {
            host.write(&key, b"", Expect::Absent)?;
        }
    }
    Ok(())
}

/// Reads a bucket and replaces it when `change` gives `true`, atomically. `change` is called again after each conflict.
pub fn update<H: SharedData, T>(
    host: &H,
    bucket: u8,
    now: Monotonic,
    mut change: impl FnMut(&mut Pools) -> (bool, T),
) -> Result<T, Unavailable> {
    let key = pools_key(bucket);
    for _ in 0..ATTEMPTS {
        let stored = host.read(&key)?.ok_or(Unavailable)?;
        let mut pools = Pools::parse(&stored.bytes);
        let (changed, answer) = change(&mut pools);
        if !changed {
            return Ok(answer);
        }
        pools.0.retain(|entry| !entry.is_over(now));
        if host.write(&key, &pools.encode(), Expect::Version(stored.cas))? == Write::Stored {
            return Ok(answer);
        }
    }
    Err(Unavailable)
}

/// Tells the sync that something is wanted in a bucket. True when nobody had said so.
pub fn call<H: SharedData>(host: &H, bucket: u8) -> Result<bool, Unavailable> {
    let bit = 1_u64.checked_shl(u32::from(bucket)).unwrap_or(0);
    for _ in 0..ATTEMPTS {
        let stored = host.read(DEMAND_KEY)?.ok_or(Unavailable)?;
        let bits = bits(&stored.bytes);
        if bits & bit != 0 {
            return Ok(false);
        }
        let next = (bits | bit).to_le_bytes();
        if host.write(DEMAND_KEY, &next, Expect::Version(stored.cas))? == Write::Stored {
            return Ok(true);
        }
    }
    Err(Unavailable)
}

/// Takes the buckets in which something is wanted.
pub fn take_calls<H: SharedData>(host: &H) -> Result<impl Iterator<Item = u8> + use<H>, Unavailable> {
    let mut taken = 0;
    for _ in 0..ATTEMPTS {
        let Some(stored) = host.read(DEMAND_KEY)? else { break };
        taken = bits(&stored.bytes);
        if taken == 0 || host.write(DEMAND_KEY, b"", Expect::Version(stored.cas))? == Write::Stored {
            break;
        }
        taken = 0;
    }
    Ok((0..BUCKETS).filter(move |bucket| taken.checked_shr(u32::from(*bucket)).unwrap_or(0) & 1 == 1))
}

fn bits(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Lending {
    /// What the sync said last; `None` when it never did.
    pub fn read<H: SharedData>(host: &H) -> Result<Option<Self>, HostError> {
        Ok(host.read(STATE_KEY)?.and_then(|stored| Self::decode(&stored.bytes)))
    }

    /// Says it.
    pub fn write<H: SharedData>(&self, host: &H) -> Result<(), HostError> {
        let mut out = vec![VERSION, u8::from(self.works)];
        out.extend_from_slice(&self.answers.to_le_bytes());
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(&self.queue.to_le_bytes());
        host.write(STATE_KEY, &out, Expect::Any).map(drop)
    }

    /// True while tokens can be had.
    pub const fn is_alive(&self, now: Monotonic) -> bool {
        self.works && now.saturating_sub(self.at) < SILENT_NS
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let works = (reader.u8()? == VERSION).then(|| reader.u8())?? == 1;
        let lending = Self { works, answers: reader.u64()?, at: reader.u64()?, queue: reader.u32()? };
        reader.end()?;
        Some(lending)
    }
}
