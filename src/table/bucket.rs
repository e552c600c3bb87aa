//! One bucket's bytes: sorted hashes first, so that a lookup touches one record and decodes no other. Most keys of a bucket
//! have the same limits, so each set of limits is there once and records refer to it.
//!
//! ```text
//! version u8 = 2 │ count u32 │ sets u16 │ count × hash [u8; 32], sorted │ count × (length of record u8 │ set u16)
//!   │ sets × length u16 │ sets │ records
//! ```
//! Little-endian. A record: flags u8 (bit 0 test, bit 1 expires, bit 2 plan, bit 3 shadow) │ id │ workspace │ [expires_at u64] │ \[plan\].
//! A set: limits u8 × (name │ scope u8 │ requests u32 │ window u32 │ burst u32, 0 for none) │ [what protocol 2 has beside them: for each
//! limit u8 (bit 0 fleet, bit 1 refuse) │ u8 (bit 0 restricted, bit 1 workspace's plan) │ [three lists: count u8 × text] │ \[plan\]].
//! Texts carry a length byte.
//!
//! What stands in brackets at the end is there when there is something to say, and a filter that knows protocol 1 alone takes such a
//! record for damaged: it refuses rather than misreads.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::bytes::{Reader, equal, put_text};
use crate::contract::key::{Environment, KeyHash};
use crate::contract::record::{KeyRecord, Limit, Reach, Scope, WhenUnreachable};
use crate::contract::restrict::Restrict;

/// A bucket as it lies in shared data; nothing is decoded until it is asked for.
pub struct Bucket<'a> {
    hashes: &'a [[u8; 32]],
    parts: &'a [[u8; 3]],
    set_lengths: &'a [[u8; 2]],
    sets: &'a [u8],
    records: &'a [u8],
}

/// One record's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord<'a> {
    /// What only this key has.
    own: Cow<'a, [u8]>,
    /// The set of limits and restrictions, shared with other records of the bucket.
    limits: Cow<'a, [u8]>,
}

/// A hash and its encoded record.
pub type Entry<'a> = (KeyHash, EncodedRecord<'a>);

const VERSION: u8 = 2;
const FLAG_TEST: u8 = 1;
const FLAG_EXPIRES: u8 = 2;
const FLAG_PLAN: u8 = 4;
const FLAG_SHADOW: u8 = 8;
const FLAGS: u8 = FLAG_TEST | FLAG_EXPIRES | FLAG_PLAN | FLAG_SHADOW;
const FLEET: u8 = 1;
const REFUSE: u8 = 2;
const RESTRICTED: u8 = 1;
const PLANNED: u8 = 2;

impl<'a> Bucket<'a> {
    /// Checks version and lengths. `None` for bytes that are not a bucket.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        let count = usize::try_from(reader.u32()?).ok()?;
        let set_count = u16::from_le_bytes(reader.array()?);
        let (hashes, _) = reader.take(count.checked_mul(32)?)?.as_chunks();
        let (parts, _) = reader.take(count.checked_mul(3)?)?.as_chunks();
        let (set_lengths, _) = reader.take(usize::from(set_count).checked_mul(2)?)?.as_chunks();
        let sets = reader.take(sum(set_lengths, set_length))?;
        let records = reader.take(sum(parts, record_length))?;
        reader.end()?;
        let known_sets = parts.iter().map(set_number).max().is_none_or(|largest| largest < set_count);
        known_sets.then_some(Self { hashes, parts, set_lengths, sets, records })
    }

    /// How many keys are in it.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The hashes in order.
    pub fn hashes(&self) -> impl Iterator<Item = KeyHash> + '_ {
        self.hashes.iter().copied().map(KeyHash)
    }

    /// The encoded record of a key. Hashes differ at their ends, which one instruction compares: on WebAssembly a binary search
    /// compares byte by byte, and what a bucket has in common stands first.
    pub fn find(&self, hash: &KeyHash) -> Option<EncodedRecord<'a>> {
        let wanted = end(&hash.0);
        let index = self.hashes.iter().position(|other| end(other) == wanted && equal(other, &hash.0))?;
        self.record(index, sum(self.parts.get(..index)?, record_length))
    }

    /// All entries in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + '_ {
        let mut start = 0usize;
        self.hashes.iter().zip(self.parts).enumerate().filter_map(move |(index, (hash, part))| {
            let record = self.record(index, start)?;
            start = start.saturating_add(record_length(part));
            Some((KeyHash(*hash), record))
        })
    }

    /// Record number `index`, which begins at `start`. Always there: [`Bucket::parse`] has checked lengths and numbers.
    fn record(&self, index: usize, start: usize) -> Option<EncodedRecord<'a>> {
        let part = self.parts.get(index)?;
        let own = self.records.get(start..)?.get(..record_length(part))?;
        let set = usize::from(set_number(part));
        let limits = self.sets.get(sum(self.set_lengths.get(..set)?, set_length)..)?;
        let limits = limits.get(..set_length(self.set_lengths.get(set)?))?;
        Some(EncodedRecord { own: Cow::Borrowed(own), limits: Cow::Borrowed(limits) })
    }
}

/// The last eight bytes of a hash.
const fn end(hash: &[u8; 32]) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *hash;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn record_length(part: &[u8; 3]) -> usize {
    usize::from(part[0])
}

const fn set_number(part: &[u8; 3]) -> u16 {
    u16::from_le_bytes([part[1], part[2]])
}

fn set_length(length: &[u8; 2]) -> usize {
    usize::from(u16::from_le_bytes(*length))
}

/// Sum of lengths. None is longer than a `u16`, and each of the items lies in memory as well: it cannot overflow.
fn sum<T>(items: &[T], length: impl Fn(&T) -> usize) -> usize {
    items.iter().fold(0, |sum, item| sum.saturating_add(length(item)))
}

/// Writes a bucket. `entries` must be sorted by hash, each hash once.
pub fn encode_bucket(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut numbers: BTreeMap<&[u8], u16> = BTreeMap::new();
    let mut sets: Vec<&[u8]> = Vec::new();
    for (_, record) in entries {
        numbers.entry(&record.limits).or_insert_with(|| {
            sets.push(&record.limits);
            to_u16(sets.len().saturating_sub(1))
        });
    }
    let records: usize = entries.iter().map(|(_, record)| record.own.len()).sum();
    let set_bytes: usize = sets.iter().map(|set| set.len().saturating_add(2)).sum();
    let fixed = entries.len().saturating_mul(35).saturating_add(7);
    let mut out = Vec::with_capacity(fixed.saturating_add(set_bytes).saturating_add(records));
    out.push(VERSION);
    out.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&to_u16(sets.len()).to_le_bytes());
    for (hash, _) in entries {
        out.extend_from_slice(&hash.0);
    }
    for (_, record) in entries {
        out.push(u8::try_from(record.own.len()).unwrap_or(u8::MAX));
        let number = numbers.get(&*record.limits).copied().unwrap_or(u16::MAX);
        out.extend_from_slice(&number.to_le_bytes());
    }
    for set in &sets {
        out.extend_from_slice(&to_u16(set.len()).to_le_bytes());
    }
    for bytes in sets.into_iter().chain(entries.iter().map(|(_, record)| &*record.own)) {
        out.extend_from_slice(bytes);
    }
    out
}

impl EncodedRecord<'_> {
    /// Encodes one record. Its own part is at most 204 bytes, as names are at most
    /// [`MAX_NAME_LEN`](crate::contract::record::MAX_NAME_LEN) bytes; limits at most 317, and restrictions at most 10 KB.
    pub fn new(record: &KeyRecord) -> EncodedRecord<'static> {
        EncodedRecord { own: Cow::Owned(encode_own(record)), limits: Cow::Owned(encode_set(record)) }
    }

    /// The same bytes, borrowed.
    pub fn borrowed(&self) -> EncodedRecord<'_> {
        EncodedRecord { own: Cow::Borrowed(&self.own), limits: Cow::Borrowed(&self.limits) }
    }

    /// Decodes the record; `None` for bytes that are not one.
    pub fn decode(&self) -> Option<KeyRecord> {
        let mut reader = Reader::new(&self.own);
        let flags = reader.u8().filter(|flags| *flags & !FLAGS == 0)?;
        let id = reader.text()?.to_owned();
        let workspace = reader.text()?.to_owned();
        let expires_at = if flags & FLAG_EXPIRES == 0 { None } else { Some(reader.u64()?) };
        let plan = if flags & FLAG_PLAN == 0 { None } else { Some(reader.text()?.to_owned()) };
        reader.end()?;
        let (limits, restrict, workspace_plan) = decode_set(&self.limits)?;
        let environment = if flags & FLAG_TEST == 0 { Environment::Live } else { Environment::Test };
        let shadow = flags & FLAG_SHADOW != 0;
        Some(KeyRecord {
            id,
            workspace,
            environment,
            expires_at,
            limits,
            restrict,
            plan,
            workspace_plan,
            shadow,
        })
    }
}

fn encode_own(record: &KeyRecord) -> Vec<u8> {
    let test = if record.environment == Environment::Test { FLAG_TEST } else { 0 };
    let expires = if record.expires_at.is_some() { FLAG_EXPIRES } else { 0 };
    let plan = if record.plan.is_some() { FLAG_PLAN } else { 0 };
    let shadow = if record.shadow { FLAG_SHADOW } else { 0 };
    let mut out = vec![test | expires | plan | shadow];
    put_text(&mut out, &record.id);
    put_text(&mut out, &record.workspace);
    if let Some(at) = record.expires_at {
        out.extend_from_slice(&at.to_le_bytes());
    }
    if let Some(plan) = &record.plan {
        put_text(&mut out, plan);
    }
    out
}

fn encode_set(record: &KeyRecord) -> Vec<u8> {
    let KeyRecord { limits, restrict, workspace_plan, .. } = record;
    let mut out = vec![u8::try_from(limits.len()).unwrap_or(u8::MAX)];
    for limit in limits {
        put_text(&mut out, &limit.name);
        out.push(u8::from(limit.scope == Scope::Workspace));
        let burst = limit.burst.map_or(0, NonZeroU32::get);
        for number in [limit.requests.get(), limit.window_seconds.get(), burst] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    let reaches = limits.iter().map(|limit| {
        let fleet = if limit.reach == Reach::Fleet { FLEET } else { 0 };
        fleet | if limit.when_unreachable == WhenUnreachable::Refuse { REFUSE } else { 0 }
    });
    if restrict.is_none() && workspace_plan.is_none() && reaches.clone().all(|reach| reach == 0) {
        return out;
    }
    out.extend(reaches);
    let restricted = if restrict.is_some() { RESTRICTED } else { 0 };
    out.push(restricted | if workspace_plan.is_some() { PLANNED } else { 0 });
    for list in restrict.iter().flat_map(|restrict| [&restrict.methods, &restrict.paths, &restrict.addresses])
    {
        out.push(u8::try_from(list.len()).unwrap_or(u8::MAX));
        list.iter().for_each(|text| put_text(&mut out, text));
    }
    if let Some(plan) = workspace_plan {
        put_text(&mut out, plan);
    }
    out
}

/// Limits, restrictions, and the workspace's plan.
type Set = (Vec<Limit>, Option<Restrict>, Option<String>);

fn decode_set(bytes: &[u8]) -> Option<Set> {
    let mut reader = Reader::new(bytes);
    let mut limits = (0..reader.u8()?).map(|_| decode_limit(&mut reader)).collect::<Option<Vec<_>>>()?;
    if reader.end().is_some() {
        return Some((limits, None, None));
    }
    for limit in &mut limits {
        let reach = reader.u8().filter(|reach| reach & !(FLEET | REFUSE) == 0)?;
        limit.reach = if reach & FLEET == 0 { Reach::Gateway } else { Reach::Fleet };
        limit.when_unreachable =
            if reach & REFUSE == 0 { WhenUnreachable::Gateway } else { WhenUnreachable::Refuse };
    }
    let flags = reader.u8().filter(|flags| flags & !(RESTRICTED | PLANNED) == 0)?;
    let mut restrict = None;
    if flags & RESTRICTED != 0 {
        let [methods, paths, addresses] =
            [decode_list(&mut reader)?, decode_list(&mut reader)?, decode_list(&mut reader)?];
        restrict = Some(Restrict { methods, paths, addresses });
    }
    let plan = if flags & PLANNED == 0 { None } else { Some(reader.text()?.to_owned()) };
    reader.end()?;
    Some((limits, restrict, plan))
}

fn decode_list(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    (0..reader.u8()?).map(|_| reader.text().map(str::to_owned)).collect()
}

fn decode_limit(reader: &mut Reader<'_>) -> Option<Limit> {
    let name = reader.text()?.to_owned();
    let scope = if reader.u8()? == 0 { Scope::Key } else { Scope::Workspace };
    let requests = NonZeroU32::new(reader.u32()?)?;
    let window_seconds = NonZeroU32::new(reader.u32()?)?;
    let burst = NonZeroU32::new(reader.u32()?);
    Some(Limit { name, scope, burst, ..Limit::per(requests, window_seconds) })
}

fn to_u16(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}
