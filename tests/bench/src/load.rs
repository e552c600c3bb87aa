//! The requests of a measurement. All of them are what an API client sends; they differ in the key.

use crate::keys::{Key, Kind};

/// Which requests, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// All with one key.
    Hot(Kind),
    /// All with one key, which stands in `x-api-key`.
    Header,
    /// Keys 0 to n - 1 in turn.
    Cycle(u32),
    /// All of a table of n keys in an order that a small cache cannot profit from.
    Scattered(u32),
    /// Without `authorization`.
    Missing,
    /// With the same unknown key.
    Unknown,
    /// With a new unknown key each time.
    Random,
}

impl Load {
    /// Request number `number`, with the header lines `forged`, which only the gateway may set.
    pub fn request(self, number: u32, forged: &str) -> Vec<u8> {
        let key = match self {
            Self::Hot(kind) => Some(Key { kind, number: 0 }),
            Self::Header => {
                let key = Key::ordinary(0).plaintext();
                return build(None, &format!("{forged}x-api-key: {key}\r\n"));
            }
            Self::Cycle(count) => Some(Key::ordinary(number % count)),
            Self::Scattered(count) => Some(Key::ordinary(scatter(number, count))),
            Self::Missing => None,
            Self::Unknown => Some(Key::ordinary(u32::MAX)),
            Self::Random => Some(Key::ordinary(u32::MAX - 1 - number)),
        };
        build(key, forged)
    }

    /// How many requests come before they repeat, as far as a warm-up can care.
    pub fn period(self) -> u32 {
        match self {
            Self::Cycle(count) => count.min(2_000),
            _ => 1,
        }
    }
}

/// A request with a key.
pub fn with_key(key: Key) -> Vec<u8> {
    build(Some(key), "")
}

fn build(key: Option<Key>, forged: &str) -> Vec<u8> {
    let mut text = String::from("GET /v1/agents HTTP/1.1\r\nhost: api.flametalk.test\r\naccept: */*\r\n");
    text.push_str(forged);
    if let Some(key) = key {
        text.push_str(&format!("authorization: Bearer {}\r\n", key.plaintext()));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// A permutation of 0..count by a prime step.
fn scatter(number: u32, count: u32) -> u32 {
    let step = u64::from(number) * 7_368_787;
    u32::try_from(step % u64::from(count)).unwrap_or_default()
}
