//! Recognising an `Authorization` value that was authenticated before, without hashing it with SHA-256 again.
//!
//! The fingerprint is SipHash-1-3 with 128 bits (Aumasson and Bernstein, 2012) under a random key that never leaves the
//! VM, and neither does any fingerprint: a pseudo-random function at a fifteenth of the price. Without the key nobody can find a second value with the same
//! fingerprint better than by trying 2^128 times over the network, and nobody can tell a key from its fingerprint. See
//! docs/adr/0011-fingerprints.md.

use std::fmt;

use siphasher::sip128::SipHasher13;

use crate::host::random_u64;

/// The VM's secret.
#[derive(Clone)]
pub struct Fingerprints(SipHasher13);

/// A value's fingerprint in this VM.
pub type Fingerprint = u128;

impl Fingerprints {
    /// Fingerprints under a new random key.
    pub fn new() -> Self {
        Self(SipHasher13::new_with_keys(random_u64(), random_u64()))
    }

    /// The fingerprint of a header's value.
    pub fn of(&self, value: &[u8]) -> Fingerprint {
        self.0.hash(value).as_u128()
    }
}

impl Default for Fingerprints {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Fingerprints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprints(redacted)")
    }
}
