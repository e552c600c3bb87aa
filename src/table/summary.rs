//! Which hashes a bucket cannot hold, in 64 bytes: one bit for each hash in it, chosen by the hash's last nine bits. A hash whose
//! bit is clear is not there for certain; of unknown hashes one in sixteen finds its bit set by another one's among 32 keys.

use crate::contract::key::KeyHash;

/// A bucket's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary([u32; 16]);

impl Summary {
    /// Of a bucket with these hashes.
    pub fn of(hashes: impl Iterator<Item = KeyHash>) -> Self {
        let mut bits = [0; 16];
        for hash in hashes {
            let (word, bit) = place(&hash);
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        Self(bits)
    }

    /// True when `hash`, whose bucket this is, is not there.
    pub fn excludes(&self, hash: &KeyHash) -> bool {
        let (word, bit) = place(hash);
        self.0.get(word).is_some_and(|word| word & bit == 0)
    }
}

/// Word and bit of a hash. The bucket is chosen by its first bits, so the last ones are as good as new.
fn place(hash: &KeyHash) -> (usize, u32) {
    let [.., before, last] = hash.0;
    (usize::from(last >> 4), 1u32.wrapping_shl(u32::from(last & 15) << 1 | u32::from(before & 1)))
}
