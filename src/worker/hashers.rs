//! Hash functions for maps whose keys need none: they are random already, or small numbers that the host counts up.
//! SipHash, the standard library's choice, would cost more than the look-up.

use std::hash::{BuildHasherDefault, Hasher};

/// Hashes a key by its own first eight bytes. For SHA-256 hashes, whose collisions nobody can choose without keys that
/// the control plane would accept, and for fingerprints under a secret key.
pub type ByPrefix = BuildHasherDefault<PrefixHasher>;

/// Hashes a stream's number by multiplication (Fibonacci hashing, Knuth, TAOCP volume 3, section 6.4).
pub type ByNumber = BuildHasherDefault<NumberHasher>;

/// See [`ByPrefix`].
#[derive(Debug, Default)]
pub struct PrefixHasher(u64);

/// See [`ByNumber`].
#[derive(Debug, Default)]
pub struct NumberHasher(u64);

impl Hasher for PrefixHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*prefix);
        }
    }

    // The length that the derived `Hash` of an array announces carries nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number);
    }

    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}
