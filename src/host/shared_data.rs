//! The store that all workers of one process share.

use super::error::HostError;

/// The host's process-wide key-value store. There is no delete and no enumeration.
pub trait SharedData {
    /// The value with its version, `None` when the key was never written (or the process restarted).
    fn read(&self, key: &str) -> Result<Option<Versioned>, HostError>;

    /// Writes `bytes`. **A missing key is always inserted, whatever version `expect` names**: that is how the host works,
    /// so a value that was lost does not show as a conflict.
    fn write(&self, key: &str, bytes: &[u8], expect: Expect) -> Result<Write, HostError>;

    /// Wakes the context that has this shared queue, on its own thread. A hint: it may have gone, and nobody hears of that. A host
    /// without queues wakes nobody.
    fn wake(&self, _queue: u32) {}

    /// Makes the context that calls this the one that is woken by the queue of this name; gives the queue. `None` where there are none.
    fn listen(&self, _name: &str) -> Option<u32> {
        None
    }
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
