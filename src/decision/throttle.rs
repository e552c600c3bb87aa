//! The throttle of failed authentications: a client address that sends one bad key after the other is refused before its
//! next key is hashed or looked up.
//!
//! Every address has a GCRA ([`Quota`]) of failures. The states stand in a table of fixed size, 16 bytes per place, in
//! sets of [`WAYS`]; an address has its place in the set that its keyed hash names, so nobody can choose addresses that
//! collide. A newcomer takes the place that would be at rest first, so to make the throttle forget an address takes more
//! failures from others than that address had. Nothing here is shared between workers: a lock per failure would give the
//! attacker what the throttle is to deny. See docs/adr/0014-failure-throttle.md.
//!
//! Values that were accepted once are never throttled, so a good client beside a bad one at the same address goes on when the
//! worker's cache has to look its key up again. They are remembered by their fingerprints, as many as the cache has records.
//!
//! It is no part of the decision whether a key is good. An address that cannot be told is not throttled.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr as _;

use siphasher::sip128::SipHasher24;

use crate::decision::denial::Throttled;
use crate::decision::fingerprint::Fingerprint;
use crate::decision::headers::Headers;
use crate::decision::rate_limit::retry_after_headers;
use crate::host::{Monotonic, random_u64};
use crate::limit::gcra::{Quota, Tat};

/// How failures are throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleConfig {
    /// Failures of one address at once, after a rest.
    pub failures: NonZeroU32,
    /// Time in which so many are forgiven, in seconds.
    pub window_seconds: NonZeroU32,
    /// Places for addresses.
    pub addresses: usize,
}

/// Who a client is to the throttle: an IPv4 address, or the first 64 bits of an IPv6 address, since a single host usually has
/// all addresses below them (RFC 6177, RFC 7421).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(u128);

/// The failures of the addresses that one worker has seen.
pub struct Throttle {
    quota: Quota,
    hasher: SipHasher24,
    sets: Vec<[Place; WAYS]>,
    /// Values that were accepted, the latest of each set first; 0 is an empty place.
    accepted: Vec<[Fingerprint; WAYS]>,
    /// The headers of the last refusal and their seconds: whoever is refused is refused again within the second.
    last: RefCell<Option<(u64, Headers)>>,
}

/// What is known of one address. A `tat` in the past is an address at rest, and the same as an empty place.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    tag: u64,
    tat: Tat,
}

/// Places in a set.
pub const WAYS: usize = 8;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl ClientAddress {
    /// From Envoy's text: an IP address, with or without a port. `None` for anything else, as a Unix socket's path.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let with_port = || SocketAddr::from_str(text).ok().map(|address| address.ip());
        match with_port().or_else(|| IpAddr::from_str(text).ok())?.to_canonical() {
            IpAddr::V4(address) => Some(Self(address.to_ipv6_mapped().to_bits())),
            IpAddr::V6(address) => Some(Self(address.to_bits() & NETWORK)),
        }
    }
}

/// The first 64 bits.
const NETWORK: u128 = Ipv6Addr::new(0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0, 0, 0, 0).to_bits();

impl Throttle {
    /// A throttle that has seen no failure, with places for `values` that were accepted.
    pub fn new(config: ThrottleConfig, values: usize) -> Self {
        Self {
            quota: Quota::new(config.failures, config.window_seconds, config.failures),
            hasher: SipHasher24::new_with_keys(random_u64(), random_u64()),
            sets: vec![Default::default(); config.addresses.div_ceil(WAYS).max(1)],
            accepted: vec![[0; WAYS]; values.div_ceil(WAYS).max(1)],
            last: RefCell::default(),
        }
    }

    /// Whether this address may try a key now; `Err` says from when on.
    pub fn check(&self, client: ClientAddress, now: Monotonic) -> Result<(), Throttled> {
        let (set, tag) = self.place_of(client);
        let known = self.sets.get(set).and_then(|set| set.iter().find(|place| place.tag == tag));
        let wait = known.map_or(0, |place| self.quota.wait_ns(place.tat, now, 1));
        if wait == 0 { Ok(()) } else { Err(self.refusal(wait.div_ceil(NANOS_PER_SECOND))) }
    }

    /// Counts a failure.
    pub fn note_failure(&mut self, client: ClientAddress, now: Monotonic) {
        let (set, tag) = self.place_of(client);
        let quota = self.quota;
        let Some(set) = self.sets.get_mut(set) else { return };
        let known = set.iter().position(|place| place.tag == tag);
        let earliest = || set.iter().enumerate().min_by_key(|(_, place)| place.tat).map(|(index, _)| index);
        if let Some(place) = known.or_else(earliest).and_then(|index| set.get_mut(index)) {
            let tat = if place.tag == tag { place.tat } else { 0 };
            *place = Place { tag, tat: quota.settle(tat, now, quota.emission_ns(), 0) };
        }
    }

    /// Notes that this value's key was accepted.
    pub fn note_success(&mut self, value: Fingerprint) {
        let index = self.set_of(value);
        if let Some(set) = self.accepted.get_mut(index)
            && !set.contains(&value)
        {
            set.rotate_right(1);
            if let Some(latest) = set.first_mut() {
                *latest = value;
            }
        }
    }

    /// True for a value whose key was accepted before, whatever has become of the key.
    pub fn was_accepted(&self, value: Fingerprint) -> bool {
        self.accepted.get(self.set_of(value)).is_some_and(|set| set.contains(&value))
    }

    /// Bytes of both tables, which never change.
    pub fn bytes(&self) -> usize {
        let values = std::mem::size_of_val(self.accepted.as_slice());
        std::mem::size_of_val(self.sets.as_slice()).saturating_add(values)
    }

    /// A fingerprint is as good as random already.
    fn set_of(&self, value: Fingerprint) -> usize {
        let sets = u128::try_from(self.accepted.len()).unwrap_or(u128::MAX);
        value.checked_rem(sets).and_then(|set| usize::try_from(set).ok()).unwrap_or(0)
    }

    fn place_of(&self, client: ClientAddress) -> (usize, u64) {
        let (set, tag) = self.hasher.hash(&client.0.to_le_bytes()).as_u64();
        let sets = u64::try_from(self.sets.len()).unwrap_or(u64::MAX);
        (set.checked_rem(sets).and_then(|set| usize::try_from(set).ok()).unwrap_or(0), tag)
    }

    fn refusal(&self, seconds: u64) -> Throttled {
        let mut last = self.last.borrow_mut();
        let headers = match &*last {
            Some((known, headers)) if *known == seconds => headers.clone(),
            _ => {
                let headers = retry_after_headers(seconds);
                *last = Some((seconds, headers.clone()));
                headers
            }
        };
        Throttled { retry_after_seconds: seconds, headers }
    }
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").field("quota", &self.quota).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
