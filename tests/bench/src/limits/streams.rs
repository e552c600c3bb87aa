//! The limits, who uses them, and what is sent.

use std::time::Duration;

use super::load::{Dealt, Stream};
use crate::keys::Key;

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Its name in requests that have no record to be looked up in.
    pub class: &'static str,
    /// How many in a window, and at once.
    pub requests: u32,
    /// The window in seconds.
    pub seconds: u32,
}

/// All that are measured, from small to large.
pub const LIMITS: [Rate; 4] = [
    Rate { class: "ten", requests: 10, seconds: 60 },
    Rate { class: "hundred", requests: 100, seconds: 1 },
    Rate { class: "thousand", requests: 1_000, seconds: 1 },
    Rate { class: "most", requests: 10_000, seconds: 1 },
];

/// What a key is used for: each has buckets of its own, full when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// One load of the calm.
    Calm(Dealt),
    /// While the engine begins again with nothing.
    Restart,
    /// While it fails over.
    FailOver,
}

/// All of them.
pub const USES: [Use; 4] = [Use::Calm(Dealt::Askew), Use::Calm(Dealt::Evenly), Use::Restart, Use::FailOver];

/// Keys that are used once.
pub const COLD_KEYS: u32 = 200;
const FIRST_COLD_KEY: u32 = 1_000;

/// How many times a limit is sent.
const LOAD: f64 = 3.0;
/// Of the smallest limit while the engine fails: three times it would not use up its burst before.
const BUSY_TEN: f64 = 4.0;

impl Rate {
    /// As people write it.
    pub fn name(&self) -> String {
        format!("{}/{}s", self.requests, self.seconds)
    }

    /// Requests a second.
    pub fn per_second(&self) -> f64 {
        f64::from(self.requests) / f64::from(self.seconds)
    }

    /// How long its calm is measured.
    pub const fn calm(&self) -> Duration {
        Duration::from_secs(if self.seconds > 1 { 60 } else { 3 })
    }
}

/// The key that has this limit for this use.
pub fn key(rate: &Rate, of: Use) -> Key {
    let place = |found: Option<usize>| u32::try_from(found.unwrap_or_default()).unwrap_or_default();
    let rate = place(LIMITS.iter().position(|one| one == rate));
    Key::ordinary(rate * 10 + place(USES.iter().position(|one| *one == of)))
}

/// A key that is used once.
pub fn cold_key(number: u32) -> Key {
    Key::ordinary(FIRST_COLD_KEY + number)
}

/// All keys with their limits.
pub fn keys() -> impl Iterator<Item = (Key, &'static Rate)> {
    let hot = LIMITS.iter().flat_map(|rate| USES.map(|of| (key(rate, of), rate)));
    hot.chain((0..COLD_KEYS).map(|number| (cold_key(number), &LIMITS[1])))
}

/// A request of this class with this key.
pub fn request(rate: &Rate, key: Key) -> Vec<u8> {
    let (class, key) = (rate.class, key.plaintext());
    format!(
        "GET /v1/agents HTTP/1.1\r\nhost: api.flametalk.test\r\naccept: */*\r\nx-class: {class}\r\n\
         authorization: Bearer {key}\r\n\r\n"
    )
    .into_bytes()
}

/// What is sent of a limit for this use.
pub fn stream(rate: &Rate, of: Use) -> Stream {
    let dealt = if let Use::Calm(dealt) = of { dealt } else { Dealt::Askew };
    let usual = rate.per_second() * LOAD;
    let rate_of_all = if matches!(of, Use::Calm(_)) { usual } else { usual.max(BUSY_TEN) };
    Stream { request: request(rate, key(rate, of)), rate: rate_of_all, dealt }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_use_of_a_limit_has_a_key_of_its_own() {
        let numbers: BTreeSet<_> = keys().map(|(key, _)| key.number).collect();
        assert_eq!(numbers.len(), keys().count());
        assert_eq!(stream(&LIMITS[0], Use::Calm(Dealt::Evenly)).rate, 0.5);
        assert_eq!(stream(&LIMITS[0], Use::Restart).rate, 4.0);
        assert_eq!(stream(&LIMITS[2], Use::FailOver).rate, 3_000.0);
    }
}
