//! The seams between the pure core and the proxy: shared data, clocks, callouts. Each is what the host really offers, with
//! its sharp edges named in the types instead of hidden.

#[cfg(any(test, feature = "fake-host"))]
pub mod fake;

use std::fmt;

use crate::sync::driver::Call;

/// Nanoseconds on the monotonic clock, which all worker threads of one process share. Never steps back.
pub type Monotonic = u64;
/// Nanoseconds since the Unix epoch. May step in either direction.
pub type WallClock = u64;

/// One reading of both clocks, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For limits, leases and timeouts.
    pub monotonic: Monotonic,
    /// For expiry and the age of the table.
    pub wall: WallClock,
}

/// Reads the clocks.
pub trait Clock {
    /// Both clocks at this moment.
    fn now(&self) -> Now;

    /// The monotonic clock alone, for who needs no more: each reading is a host call.
    fn monotonic(&self) -> Monotonic {
        self.now().monotonic
    }

    /// The wall clock alone.
    fn wall(&self) -> WallClock {
        self.now().wall
    }
}

/// Names the other side of the request at hand.
pub trait Peer {
    /// The client's address as the proxy trusts it: behind other proxies the one that its configuration takes from
    /// `x-forwarded-for`. Any text; `None` when the host has none. Costs a host call.
    fn client_address(&self) -> Option<Vec<u8>>;
}

/// The host's process-wide key-value store. There is no delete and no enumeration.
pub trait SharedData {
    /// The value with its version, `None` when the key was never written (or the process restarted).
    fn read(&self, key: &str) -> Result<Option<Versioned>, HostError>;

    /// Writes `bytes`. **A missing key is always inserted, whatever version `expect` names**: that is how the host works,
    /// so a value that was lost does not show as a conflict.
    fn write(&self, key: &str, bytes: &[u8], expect: Expect) -> Result<Write, HostError>;
}

/// Sends HTTP calls to a cluster of the proxy; the answer comes to the root context that sent it.
pub trait Callouts {
    /// Sends a poll and returns the number that its answer will carry.
    fn call(&self, call: &Call<'_>) -> Result<u32, HostError>;
}

/// A value and the version to name when replacing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The value; may be empty.
    pub bytes: Vec<u8>,
    /// The host's compare-and-swap number, never 0.
    pub cas: u32,
}

/// What a write expects to replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Exactly this version; another one is a [`Write::Conflict`].
    Version(u32),
    /// No value: a key that is there is a [`Write::Conflict`]. The host has no such call, but it inserts a missing key
    /// whatever version is named, so naming one that no value has does the same.
    Absent,
    /// Anything: the write overwrites.
    Any,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The value is there.
    Stored,
    /// Somebody else wrote first; nothing was changed.
    Conflict,
}

/// The host refused a call. Carries the proxy-wasm status number and nothing of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError(pub u32);

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host call failed with status {}", self.0)
    }
}

/// A random number: SipHash under the standard library's hasher seeds, which come from the host's randomness (WASI
/// `random_get`, the OS natively). For names, jitter, and a secret that lives as long as its VM.
pub fn random_u64() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish()
}
