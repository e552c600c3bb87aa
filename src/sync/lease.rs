//! Who syncs: a lease in shared data, so that of all root contexts of a process one talks to the control plane, and
//! another one takes over when it is gone. The bootstrap singleton holds the same lease as an elected worker.

use crate::bytes::Reader;
use crate::host::{Expect, HostError, Monotonic, SharedData, Write, random_u64};

/// Shared-data key of the lease.
pub const LEADER_KEY: &str = "flamegate/leader";
/// How long a lease lasts without renewal, in nanoseconds.
pub const LEASE_NS: u64 = 3_000_000_000;
/// A holder renews when less than this is left.
const RENEW_BELOW_NS: u64 = 2_000_000_000;
const VERSION: u8 = 1;

/// A candidate's side of the lease.
#[derive(Debug)]
pub struct Lease {
    candidate: u64,
    source: u64,
    born: Monotonic,
}

/// What stands in shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    owner: u64,
    until: Monotonic,
    /// Which control plane the owner follows.
    source: u64,
    /// When the owner was configured.
    born: Monotonic,
    /// Random part of the gateway's name; it outlives its owner, so that the control plane sees one gateway per process.
    process: u32,
}

impl Lease {
    /// A candidate that holds nothing. `source` tells control planes apart; `born` is when it was configured.
    pub fn new(source: u64, born: Monotonic) -> Self {
        Self { candidate: random_u64(), source, born }
    }

    /// Takes or renews the lease when that is possible. `Some` with the process's random name while it is held.
    pub fn hold<H: SharedData>(&self, host: &H, now: Monotonic) -> Result<Option<u32>, HostError> {
        let Some(stored) = host.read(LEADER_KEY)? else {
            return self.take(host, random_process(), Expect::Absent, now);
        };
        let Some(term) = Term::decode(&stored.bytes) else {
            // Bytes of another version say nothing that we could wait for.
            return self.take(host, random_process(), Expect::Version(stored.cas), now);
        };
        let ours = term.owner == self.candidate;
        if ours && term.until.saturating_sub(now) > RENEW_BELOW_NS {
            return Ok(Some(term.process));
        }
        // After an update of the configuration the old one's contexts live until their last request ends. They must not
        // go on to follow a control plane that the new configuration has left.
        let outdated = term.source != self.source && term.born < self.born;
        if !ours && !outdated && term.until > now {
            return Ok(None);
        }
        self.take(host, term.process, Expect::Version(stored.cas), now)
    }

    /// Lets go at once, so that somebody else need not wait for the end of the lease.
    pub fn release<H: SharedData>(&self, host: &H) -> Result<(), HostError> {
        let Some(stored) = host.read(LEADER_KEY)? else { return Ok(()) };
        match Term::decode(&stored.bytes) {
            Some(term) if term.owner == self.candidate => {
                let over = Term { until: 0, ..term };
                host.write(LEADER_KEY, &over.encode(), Expect::Version(stored.cas)).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn take<H: SharedData>(
        &self,
        host: &H,
        process: u32,
        expect: Expect,
        now: Monotonic,
    ) -> Result<Option<u32>, HostError> {
        let until = now.saturating_add(LEASE_NS);
        let term = Term { owner: self.candidate, until, source: self.source, born: self.born, process };
        match host.write(LEADER_KEY, &term.encode(), expect)? {
            Write::Conflict => Ok(None),
            Write::Stored => Ok(Some(process)),
        }
    }
}

/// True when somebody syncs into this shared data.
pub fn is_held<H: SharedData>(host: &H, now: Monotonic) -> bool {
    let stored = host.read(LEADER_KEY).ok().flatten();
    stored.and_then(|stored| Term::decode(&stored.bytes)).is_some_and(|term| term.until > now)
}

fn random_process() -> u32 {
    u32::try_from(random_u64() & u64::from(u32::MAX)).unwrap_or(0)
}

impl Term {
    fn encode(self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for number in [self.owner, self.until, self.source, self.born] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.process.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        let (owner, until, source, born) = (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
        let term = Self { owner, until, source, born, process: reader.u32()? };
        reader.end()?;
        Some(term)
    }
}

#[cfg(test)]
mod tests;
