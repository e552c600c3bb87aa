//! Randomness.

/// A random number: SipHash under the standard library's hasher seeds, which come from the randomness of the
/// host, the OS natively. For names, jitter, and a secret that lives as long as its VM.
pub fn random_u64() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish()
}
