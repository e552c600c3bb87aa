//! One entry of a limiter bucket: 40 bytes, a set of numbers of one subject or one of the subject's sums.

use std::num::{NonZeroU32, NonZeroU64};

use crate::bytes::Reader;
use crate::host::Monotonic;
use crate::limit::gcra::{Quota, Tat};
use crate::limit::slot::Subject;

/// A state and by which numbers it is counted.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// The numbers.
    pub quota: Quota,
    /// Second in which these numbers were last in use, 0 when they only came to settle; of a sum, when anything was counted.
    pub used_at: u32,
    /// The state.
    pub tat: Tat,
}

/// An entry's bytes.
pub type Entry = [u8; ENTRY_LEN];

/// Bytes of an entry.
pub const ENTRY_LEN: usize = 40;
/// The burst that marks a sum. No limit has it.
const SUM: u32 = 0;
/// For so many seconds after they were last used, numbers count what others admit. Longer than any worker is behind.
const IN_USE_SECONDS: u32 = 60;
pub(super) const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl State {
    /// A sum that drains by `emission_ns` and is cut nowhere (but at 146 years).
    pub fn sum(emission_ns: u64, used_at: u32, tat: Tat) -> Self {
        let emission_ns = NonZeroU64::new(emission_ns).unwrap_or(NonZeroU64::MIN);
        Self { quota: Quota::from_parts(emission_ns, NonZeroU32::MAX), used_at, tat }
    }

    /// Whether the numbers count what happens in second `at`.
    pub const fn counts(&self, at: u32) -> bool {
        at.saturating_sub(self.used_at) <= IN_USE_SECONDS
    }
}

/// Whose entry.
pub fn subject(entry: &Entry) -> Subject {
    Subject(entry.first_chunk().copied().unwrap_or_default())
}

/// Until when it is not at rest.
pub fn tat(entry: &Entry) -> Tat {
    entry.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// True for one of the subject's sums.
pub fn is_sum(entry: &Entry) -> bool {
    entry.get(24..28) == Some(&SUM.to_le_bytes())
}

/// Numbers that no limit has (nobody we know wrote them) are read as the nearest that one can have.
pub fn decode(entry: &Entry) -> State {
    let mut reader = Reader::new(entry.get(16..).unwrap_or_default());
    let emission_ns = reader.u64().and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN);
    let burst = reader.u32().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
    let (used_at, tat) = (reader.u32().unwrap_or(0), reader.u64().unwrap_or(0));
    State { quota: Quota::from_parts(emission_ns, burst), used_at, tat }
}

/// Adds a set of numbers.
pub fn push(bytes: &mut Vec<u8>, subject: Subject, state: State) {
    let (emission_ns, burst) = state.quota.parts();
    encode(bytes, subject, emission_ns, burst, state);
}

/// Adds a sum.
pub fn push_sum(bytes: &mut Vec<u8>, subject: Subject, sum: State) {
    encode(bytes, subject, sum.quota.emission_ns(), SUM, sum);
}

/// The second of a moment.
pub fn seconds(now: Monotonic) -> u32 {
    u32::try_from(now / NANOS_PER_SECOND).unwrap_or(u32::MAX)
}

fn encode(bytes: &mut Vec<u8>, subject: Subject, emission_ns: u64, burst: u32, state: State) {
    bytes.extend_from_slice(&subject.0);
    bytes.extend_from_slice(&emission_ns.to_le_bytes());
    bytes.extend_from_slice(&burst.to_le_bytes());
    bytes.extend_from_slice(&state.used_at.to_le_bytes());
    bytes.extend_from_slice(&state.tat.to_le_bytes());
}
