//! The API key: its form, its checksum and its hash.
//!
//! A key is `sk_<prefix>_<secret>` with prefix `live` or `test` (the product's documentation). Everything here
//! works on bytes: a header may hold anything, and a credential is a type that cannot be printed.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bytes::{equal, is_visible};

/// Which of the product's two environments a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Production keys, `sk_live_…`.
    Live,
    /// Development keys, `sk_test_…`.
    Test,
}

impl Environment {
    /// The name used in keys, headers, JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// What every key of this environment starts with.
    pub const fn key_prefix(self) -> &'static str {
        match self {
            Self::Live => "sk_live_",
            Self::Test => "sk_test_",
        }
    }
}

/// A well-formed API key. It borrows the request's bytes, cannot be printed and is never stored.
#[derive(Clone, Copy)]
pub struct ApiKey<'a> {
    bytes: &'a [u8],
    environment: Environment,
}

/// SHA-256 of a whole key, prefix included: the only form of a key that is stored or travels.
#[derive(Clone, Copy, Eq, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 32]);

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
    }
}

impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// Longest key that is looked at, in bytes. Ours have 46; imported ones may be longer.
pub const MAX_KEY_LEN: usize = 256;

/// Base62 digits in the order used for secrets and checksums.
pub const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Length of the base62 checksum at the end of a key that we generated.
pub const CHECKSUM_LEN: usize = 6;

impl<'a> ApiKey<'a> {
    /// Bytes that have the form of a key: a known prefix, then at least one and at most [`MAX_KEY_LEN`] visible ASCII
    /// characters in all. `None` for anything else, which clients see as `INVALID_API_KEY`.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() > MAX_KEY_LEN {
            return None;
        }
        let (environment, secret) = [Environment::Live, Environment::Test]
            .into_iter()
            .find_map(|env| Some((env, bytes.strip_prefix(env.key_prefix().as_bytes())?)))?;
        let visible = !secret.is_empty() && is_visible(secret);
        visible.then_some(Self { bytes, environment })
    }

    /// The environment that the prefix names.
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// SHA-256 (FIPS 180-4) of the whole key. No salt: a key carries 190 bits from the OS's randomness, so there is
    /// nothing to guess (docs/adr/0004-unsalted-sha256.md).
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.bytes).into())
    }

    /// True when the last six characters are the base62 CRC-32 of what is before them. Every generated key has that;
    /// an imported one need not.
    pub fn has_valid_checksum(&self) -> bool {
        let Some(split) = self.bytes.len().checked_sub(CHECKSUM_LEN) else { return false };
        let (body, sum) = self.bytes.split_at(split);
        checksum(body).as_slice() == sum
    }
}

impl KeyHash {
    /// From 64 hexadecimal digits, upper or lower case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// 64 lower-case hexadecimal digits: the wire form. Not for logs.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first eight bytes as a number: buckets and hash maps use it, SHA-256 has mixed it already.
    pub fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Base62 CRC-32 (IEEE, as zlib) of `body`, most significant digit first: the end of a generated key, as in GitHub's
/// token format.
pub fn checksum(body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut rest = crc32(body);
    let mut out = [b'0'; CHECKSUM_LEN];
    for digit in out.iter_mut().rev() {
        if let Some(symbol) = usize::try_from(rest % 62).ok().and_then(|i| BASE62.get(i)) {
            *digit = *symbol;
        }
        rest /= 62;
    }
    out
}

/// CRC-32 bit by bit: 40 bytes once per key creation or opt-in check do not deserve a table.
fn crc32(bytes: &[u8]) -> u32 {
    let update = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(c & 1)))
    };
    !bytes.iter().fold(u32::MAX, update)
}

impl fmt::Debug for ApiKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}…)", self.environment.key_prefix())
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(redacted)")
    }
}

#[cfg(test)]
mod tests;
