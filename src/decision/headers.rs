//! Many headers in one run of bytes: how an edge hands all of a request's over at once, and how answers keep theirs, serialised once
//! and sent as often as it takes. A count (4 bytes, little-endian), the lengths of each name and value (4 bytes each), then all names
//! and values, a zero byte after each. Envoy's Wasm hosts have the same form, so their edge copies nothing.

use std::rc::Rc;

use crate::bytes::equal;

/// Headers of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers(Rc<[u8]>);

impl Headers {
    /// Serialises these.
    pub fn new<'t>(headers: impl Iterator<Item = (&'t str, &'t str)> + Clone) -> Self {
        Self(serialize_map(headers).into())
    }

    /// All of them, in order.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        let mut pairs = Vec::new();
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        // What was serialised here can be read.
        let _ = read_map(&self.0, |header| pairs.push((text(header.name()), text(header.value()))));
        pairs
    }

    /// The serialised map.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = None;
        read_map(&self.0, |header| {
            if header.name() == name.as_bytes() {
                found = std::str::from_utf8(header.value()).ok();
            }
        })?;
        found
    }
}

/// The `:status` of a serialised map of response headers, and whether the body is said to be JSON.
pub fn status_of(map: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (mut status, mut json) = (None, false);
    read_map(map, |header| match header.name() {
        b":status" => status = Some(header.value().to_vec()),
        b"content-type" => json = header.value().starts_with(b"application/json"),
        _ => {}
    })?;
    status.map(|status| (status, json))
}

/// Writes a map in the form that the host reads.
pub fn serialize_map<'t>(headers: impl Iterator<Item = (&'t str, &'t str)> + Clone) -> Vec<u8> {
    serialize(headers.map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

/// The same of any bytes.
pub fn serialize_pairs(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    serialize(pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())))
}

fn serialize<'t>(pairs: impl Iterator<Item = (&'t [u8], &'t [u8])> + Clone) -> Vec<u8> {
    let number = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = number(pairs.clone().count()).to_vec();
    for (name, value) in pairs.clone() {
        out.extend_from_slice(&number(name.len()));
        out.extend_from_slice(&number(value.len()));
    }
    for text in pairs.flat_map(|(name, value)| [name, value]) {
        out.extend_from_slice(text);
        out.push(0);
    }
    out
}

/// A header in a serialised map: its name, a byte, its value, a byte. Most are of no interest, so it is taken apart only when
/// it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    text: &'a [u8],
    name_len: usize,
}

impl<'a> Header<'a> {
    /// The first byte of the name; of an empty name, the byte after it.
    pub(super) fn first_byte(self) -> u8 {
        self.text.first().copied().unwrap_or(0)
    }

    /// True when that is the name.
    pub(super) fn is(self, name: &[u8]) -> bool {
        self.name_len == name.len() && equal(self.name(), name)
    }

    /// Length of the name, in bytes.
    pub(super) const fn name_len(self) -> usize {
        self.name_len
    }

    /// The name.
    pub fn name(self) -> &'a [u8] {
        self.text.get(..self.name_len).unwrap_or_default()
    }

    /// The value.
    pub fn value(self) -> &'a [u8] {
        let rest = self.text.get(self.name_len..).unwrap_or_default();
        if let [_, value @ .., _] = rest { value } else { b"" }
    }
}

/// Calls `note` with every header of a serialised map; `None` when the bytes are not such a map.
pub fn read_map<'a>(map: &'a [u8], mut note: impl FnMut(Header<'a>)) -> Option<()> {
    let (lengths, mut texts) = parts(map)?;
    for pair in lengths {
        let pair = u64::from_le_bytes(*pair);
        let (name, value) = (pair & 0xFFFF_FFFF, pair >> 32);
        // Two numbers of 32 bits: the sum cannot wrap in 64.
        let len = name.wrapping_add(value).wrapping_add(2);
        let (text, rest) = texts.split_at_checked(usize::try_from(len).ok()?)?;
        texts = rest;
        note(Header { text, name_len: usize::try_from(name).ok()? });
    }
    Some(())
}

/// The lengths of a serialised map's names and values, and its texts.
fn parts(map: &[u8]) -> Option<(&[[u8; 8]], &[u8])> {
    let (count, rest) = map.split_first_chunk()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let (lengths, texts) = rest.split_at_checked(count.checked_mul(8)?)?;
    Some((lengths.as_chunks().0, texts))
}
