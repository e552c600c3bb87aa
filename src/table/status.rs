//! The two small values that every worker watches: `status`, which table is in use, and the change ring, which buckets
//! changed since a worker last looked.
//!
//! The ring counts in *sequence* numbers of this process instead of revisions of the control plane: a reset may end at a
//! revision that was there before, and the workers must notice it all the same.

use crate::bytes::{Reader, put_text};
use crate::host::{Expect, HostError, Now, SharedData, Write};

use super::layout::MAX_BITS;

/// Shared-data key of the status.
pub const STATUS_KEY: &str = "flamegate/status";
/// Shared-data key of the change ring.
pub const CHANGES_KEY: &str = "flamegate/changes";

/// Which table is in use and how fresh it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Random; another one means that shared data was lost and written anew.
    pub incarnation: u64,
    /// Grows by one whenever the table changes.
    pub sequence: u64,
    /// The control plane's revision that the table is at.
    pub revision: u64,
    /// Number of bits of a bucket number.
    pub bits: u8,
    /// Number of keys in the table.
    pub keys: u64,
    /// When the control plane last confirmed the table.
    pub synced: Now,
    /// The control plane's epoch that `revision` counts in; empty while the table is a mixture: a reset in place has
    /// begun and not ended, or somebody found it damaged. It serves on, and only a whole reset makes it a table again.
    pub epoch: String,
    /// Bits of a table that is not in use but has left something in shared data, to be emptied.
    pub other: Option<u8>,
}

/// The buckets that changed lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeRing {
    /// Changes up to this sequence are not listed any more: who is older has to forget everything.
    pub floor: u64,
    /// (sequence, bucket), oldest first.
    pub entries: Vec<(u64, u32)>,
}

/// Most entries in the ring: 512 × 12 bytes are read by each worker after a change.
pub const RING_CAPACITY: usize = 512;

const VERSION: u8 = 1;
/// Stands for no table; larger than any number of bits.
const NO_BITS: u8 = u8::MAX;
const INVALIDATE_ATTEMPTS: u32 = 8;

impl Status {
    /// Reads the status. `None` when there is none or when it is of a form that we do not know: not synced.
    pub fn read<H: SharedData>(host: &H) -> Result<Option<Self>, HostError> {
        Ok(host.read(STATUS_KEY)?.and_then(|stored| Self::decode(&stored.bytes)))
    }

    /// The same with what a write has to expect to replace just this status.
    pub fn read_versioned<H: SharedData>(host: &H) -> Result<(Option<Self>, Expect), HostError> {
        Ok(match host.read(STATUS_KEY)? {
            None => (None, Expect::Absent),
            Some(stored) => (Self::decode(&stored.bytes), Expect::Version(stored.cas)),
        })
    }

    /// Marks the table as a mixture, so that the sync replaces it as a whole. Nothing happens when it is marked already:
    /// a reset is under way then.
    pub fn invalidate<H: SharedData>(host: &H) -> Result<(), HostError> {
        Self::mark(host, |status| !status.epoch.is_empty())
    }

    /// Marks the table after two writers met. The new sequence also breaks off a reset that is under way.
    pub fn disown<H: SharedData>(host: &H) -> Result<(), HostError> {
        Self::mark(host, |_| true)
    }

    fn mark<H: SharedData>(host: &H, is_needed: impl Fn(&Self) -> bool) -> Result<(), HostError> {
        for _ in 0..INVALIDATE_ATTEMPTS {
            let (Some(status), expect) = Self::read_versioned(host)? else { return Ok(()) };
            if !is_needed(&status) {
                return Ok(());
            }
            let sequence = status.sequence.saturating_add(1);
            let damaged = Self { epoch: String::new(), sequence, ..status };
            if host.write(STATUS_KEY, &damaged.encode(), expect)? == Write::Stored {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The bytes for shared data.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.bits, self.other.unwrap_or(NO_BITS)];
        for number in [
            self.incarnation,
            self.sequence,
            self.revision,
            self.keys,
            self.synced.monotonic,
            self.synced.wall,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_text(&mut out, &self.epoch);
        out
    }

    /// The inverse of [`Status::encode`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        let bits = reader.u8().filter(|bits| *bits <= MAX_BITS)?;
        let other = Some(reader.u8()?).filter(|bits| *bits <= MAX_BITS);
        let (incarnation, sequence, revision, keys) =
            (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
        let synced = Now { monotonic: reader.u64()?, wall: reader.u64()? };
        let epoch = reader.text()?.to_owned();
        reader.end()?;
        Some(Self { incarnation, sequence, revision, bits, keys, synced, epoch, other })
    }

    /// Nanoseconds since the control plane last confirmed the table, by the clock that says longer: the monotonic one
    /// stands still while the machine sleeps, the wall clock may be set back.
    pub fn age_ns(&self, now: Now) -> u64 {
        let monotonic = now.monotonic.saturating_sub(self.synced.monotonic);
        monotonic.max(now.wall.saturating_sub(self.synced.wall))
    }
}

impl ChangeRing {
    /// Reads the ring; an absent or unknown one lists nothing and so makes everybody forget everything.
    pub fn read<H: SharedData>(host: &H) -> Result<Self, HostError> {
        let unknown = Self { floor: u64::MAX, entries: Vec::new() };
        Ok(host.read(CHANGES_KEY)?.and_then(|stored| Self::decode(&stored.bytes)).unwrap_or(unknown))
    }

    /// Notes that `buckets` change at `sequence`. The oldest entries make room.
    pub fn push(&mut self, sequence: u64, buckets: impl IntoIterator<Item = u32>) {
        self.entries.extend(buckets.into_iter().map(|bucket| (sequence, bucket)));
        let surplus = self.entries.len().saturating_sub(RING_CAPACITY);
        if let Some((dropped, _)) = self.entries.drain(..surplus).next_back() {
            self.floor = self.floor.max(dropped);
        }
    }

    /// The buckets that changed after `sequence`; `None` when the ring does not reach back that far.
    pub fn since(&self, sequence: u64) -> Option<impl Iterator<Item = u32> + '_> {
        let newer = move |(at, bucket): &(u64, u32)| (*at > sequence).then_some(*bucket);
        (sequence >= self.floor).then(|| self.entries.iter().filter_map(newer))
    }

    /// The bytes for shared data.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.floor.to_le_bytes());
        for (sequence, bucket) in &self.entries {
            out.extend_from_slice(&sequence.to_le_bytes());
            out.extend_from_slice(&bucket.to_le_bytes());
        }
        out
    }

    /// The inverse of [`ChangeRing::encode`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        let floor = reader.u64()?;
        let mut entries = Vec::new();
        while reader.end().is_none() {
            entries.push((reader.u64()?, reader.u32()?));
        }
        Some(Self { floor, entries })
    }
}
