//! The limiter's shared data: states of all subjects that are not at rest, in a fixed number of buckets, by bounded
//! compare-and-swap. Every write drops the subjects at rest, so memory follows the subjects in use, not the keys that
//! exist. The bytes are described in [`States`].

use super::gcra::Tat;
use super::slot::Account;
pub use super::slot::BUCKETS;
pub use super::states::{Change, Known, States};
use crate::host::{Expect, HostError, Monotonic, SharedData, Write};

/// What to do with an account's state after looking at it, and what to tell the caller.
pub enum Step<T> {
    /// Leave it.
    Keep(T),
    /// Replace it, if nobody has changed the bucket meanwhile; otherwise look again.
    Store(Change, T),
}

/// Shared data cannot be had: the host failed, or other workers were faster 16 times in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// How often a lost compare-and-swap is tried again.
const ATTEMPTS: u32 = 16;

/// Reads what is known of `account` and replaces it as `decide` says, atomically. `decide` is called again after each
/// conflict.
pub fn update<H: SharedData, T>(
    host: &H,
    account: Account,
    now: Monotonic,
    mut decide: impl FnMut(Known) -> Result<Step<T>, Unavailable>,
) -> Result<T, Unavailable> {
    let key = key(account.subject.bucket());
    for _ in 0..ATTEMPTS {
        let (bytes, expect) = read(host, &key)?;
        let states = States::parse(&bytes);
        match decide(states.get(account, now))? {
            Step::Keep(answer) => return Ok(answer),
            Step::Store(change, answer) => {
                let new = states.with(account, change, now);
                if replace(host, &key, states, &new, expect)? == Write::Stored {
                    return Ok(answer);
                }
            }
        }
    }
    Err(Unavailable)
}

/// Drops the subjects at rest of one bucket that nobody may write for a long time. A lost race is left to the winner.
pub fn sweep<H: SharedData>(host: &H, bucket: u16, now: Monotonic) -> Result<(), Unavailable> {
    let key = key(bucket);
    let (bytes, expect) = read(host, &key)?;
    let states = States::parse(&bytes);
    if states.has_rest(now) {
        replace(host, &key, states, &states.alive(now), expect)?;
    }
    Ok(())
}

fn key(bucket: u16) -> String {
    format!("flamegate/limits/v2/{bucket}")
}

/// Reads a value, empty when there is none, and what a write has to expect to replace just this one.
pub fn read<H: SharedData>(host: &H, key: &str) -> Result<(Vec<u8>, Expect), HostError> {
    let stored = host.read(key)?;
    Ok(stored.map_or((Vec::new(), Expect::Absent), |value| (value.bytes, Expect::Version(value.cas))))
}

fn replace<H: SharedData>(
    host: &H,
    key: &str,
    old: States<'_>,
    new: &[u8],
    expect: Expect,
) -> Result<Write, Unavailable> {
    let write = host.write(key, new, expect)?;
    if old.is_malformed() && write == Write::Stored {
        log::warn!("limiter: {key} held bytes of an unknown form; its limits started over");
    }
    Ok(write)
}

impl Change {
    /// The account's state alone, while nobody has used anything.
    pub const fn only(tat: Tat) -> Self {
        Self { tat, requests: 0, back: 0, in_use: true }
    }
}

impl From<HostError> for Unavailable {
    fn from(_: HostError) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests;
