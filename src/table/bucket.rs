//! One bucket's bytes: sorted hashes first, so that a lookup touches one record and decodes no other.
//!
//! ```text
//! version u8 = 1 │ count u32 │ count × hash [u8; 32], sorted │ count × end-of-record u32 │ records
//! ```
//! Little-endian. A record: flags u8 (bit 0 test, bit 1 expires) │ id │ workspace │ [expires_at u64] │ limits u8 × (name │
//! scope u8 │ requests u32 │ window u32 │ burst u32, 0 for none); texts carry a length byte.

use std::borrow::Cow;
use std::num::NonZeroU32;

use crate::api_key::{Environment, KeyHash};
use crate::bytes::{Reader, put_text};
use crate::record::{KeyRecord, Limit, Scope};

/// A bucket as it lies in shared data; nothing is decoded until it is asked for.
pub struct Bucket<'a> {
    hashes: &'a [[u8; 32]],
    ends: &'a [[u8; 4]],
    records: &'a [u8],
}

/// A hash and its encoded record.
pub type Entry<'a> = (KeyHash, Cow<'a, [u8]>);

const VERSION: u8 = 1;
const FLAG_TEST: u8 = 1;
const FLAG_EXPIRES: u8 = 2;

impl<'a> Bucket<'a> {
    /// Checks version and lengths. `None` for bytes that are not a bucket.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        let count = usize::try_from(reader.u32()?).ok()?;
        let (hashes, _) = reader.take(count.checked_mul(32)?)?.as_chunks();
        let (ends, _) = reader.take(count.checked_mul(4)?)?.as_chunks();
        let len = ends.last().map_or(0, |end| u32::from_le_bytes(*end));
        let records = reader.take(usize::try_from(len).ok()?)?;
        reader.end()?;
        Some(Self { hashes, ends, records })
    }

    /// How many keys are in it.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The encoded record of a key.
    pub fn find(&self, hash: &KeyHash) -> Option<&'a [u8]> {
        self.record(self.hashes.binary_search(&hash.0).ok()?)
    }

    /// All entries in order; an entry with impossible offsets is left out.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + '_ {
        let entry =
            |(index, hash): (usize, &[u8; 32])| Some((KeyHash(*hash), Cow::Borrowed(self.record(index)?)));
        self.hashes.iter().enumerate().filter_map(entry)
    }

    fn record(&self, index: usize) -> Option<&'a [u8]> {
        let end = |i: usize| self.ends.get(i).and_then(|end| usize::try_from(u32::from_le_bytes(*end)).ok());
        let start = index.checked_sub(1).map_or(Some(0), end)?;
        self.records.get(start..end(index)?)
    }
}

/// Writes a bucket. `entries` must be sorted by hash, each hash once.
pub fn encode_bucket(entries: &[Entry<'_>]) -> Vec<u8> {
    let records: usize = entries.iter().map(|(_, record)| record.len()).sum();
    let mut out =
        Vec::with_capacity(entries.len().saturating_mul(36).saturating_add(records).saturating_add(5));
    out.push(VERSION);
    out.extend_from_slice(&to_u32(entries.len()).to_le_bytes());
    for (hash, _) in entries {
        out.extend_from_slice(&hash.0);
    }
    let mut end = 0usize;
    for (_, record) in entries {
        end = end.saturating_add(record.len());
        out.extend_from_slice(&to_u32(end).to_le_bytes());
    }
    for (_, record) in entries {
        out.extend_from_slice(record);
    }
    out
}

/// Encodes one record.
pub fn encode_record(record: &KeyRecord) -> Vec<u8> {
    let test = if record.environment == Environment::Test { FLAG_TEST } else { 0 };
    let expires = if record.expires_at.is_some() { FLAG_EXPIRES } else { 0 };
    let mut out = vec![test | expires];
    put_text(&mut out, &record.id);
    put_text(&mut out, &record.workspace);
    if let Some(at) = record.expires_at {
        out.extend_from_slice(&at.to_le_bytes());
    }
    out.push(u8::try_from(record.limits.len()).unwrap_or(u8::MAX));
    for limit in &record.limits {
        put_text(&mut out, &limit.name);
        out.push(u8::from(limit.scope == Scope::Workspace));
        let burst = limit.burst.map_or(0, NonZeroU32::get);
        for number in [limit.requests.get(), limit.window_seconds.get(), burst] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    out
}

/// Decodes one record; `None` for bytes that are not one.
pub fn decode_record(bytes: &[u8]) -> Option<KeyRecord> {
    let mut reader = Reader::new(bytes);
    let flags = reader.u8()?;
    let id = reader.text()?.to_owned();
    let workspace = reader.text()?.to_owned();
    let expires_at = if flags & FLAG_EXPIRES == 0 { None } else { Some(reader.u64()?) };
    let limits = (0..reader.u8()?).map(|_| decode_limit(&mut reader)).collect::<Option<_>>()?;
    reader.end()?;
    let environment = if flags & FLAG_TEST == 0 { Environment::Live } else { Environment::Test };
    Some(KeyRecord { id, workspace, environment, expires_at, limits })
}

fn decode_limit(reader: &mut Reader<'_>) -> Option<Limit> {
    let name = reader.text()?.to_owned();
    let scope = if reader.u8()? == 0 { Scope::Key } else { Scope::Workspace };
    let requests = NonZeroU32::new(reader.u32()?)?;
    let window_seconds = NonZeroU32::new(reader.u32()?)?;
    let burst = NonZeroU32::new(reader.u32()?);
    Some(Limit { name, scope, requests, window_seconds, burst })
}

fn to_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
