//! Where a key stands: the number of its bucket, and the bucket's name in shared data.

use crate::contract::key::KeyHash;

/// Most bits of a bucket number: a million buckets.
pub const MAX_BITS: u8 = 20;

/// The bucket that holds `hash` in a table of `2^bits` buckets.
pub fn bucket_of(hash: &KeyHash, bits: u8) -> u32 {
    let shift = 64u32.saturating_sub(u32::from(bits));
    hash.prefix().checked_shr(shift).and_then(|bucket| u32::try_from(bucket).ok()).unwrap_or(0)
}

/// The shared-data key of a bucket: `flamegate/keys/<bits>/<bucket>`.
pub fn bucket_key(bits: u8, bucket: u32) -> String {
    const PREFIX: &str = "flamegate/keys/";
    // With less room the text would be copied while it grows.
    let mut key = String::with_capacity(PREFIX.len().saturating_add(16));
    key.push_str(PREFIX);
    push_decimal(&mut key, u32::from(bits));
    key.push('/');
    push_decimal(&mut key, bucket);
    key
}

/// Appends a number. `format!` would cost a cold key several hundred instructions.
fn push_decimal(text: &mut String, number: u32) {
    let whole = |unit: u32| number.checked_div(unit).unwrap_or(0);
    let mut unit = 1u32;
    while whole(unit) >= 10 {
        unit = unit.saturating_mul(10);
    }
    while unit > 0 {
        let digit = u8::try_from(whole(unit) % 10).unwrap_or(0);
        text.push(char::from(b'0'.wrapping_add(digit)));
        unit /= 10;
    }
}

/// How many buckets a table of `bits` has.
pub fn buckets(bits: u8) -> u32 {
    1u32.checked_shl(u32::from(bits)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{bucket_key, push_decimal};

    #[test]
    fn a_bucket_is_named_by_its_numbers() {
        for (bits, bucket) in [(0, 0), (4, 9), (9, 10), (12, 4_095), (17, 100_000), (20, (1 << 20) - 1)] {
            assert_eq!(bucket_key(bits, bucket), format!("flamegate/keys/{bits}/{bucket}"));
        }
        for number in [u32::MAX, u32::MAX - 1, 1_000_000_000, 999_999_999] {
            let mut text = String::new();
            push_decimal(&mut text, number);
            assert_eq!(text, number.to_string());
        }
    }
}
