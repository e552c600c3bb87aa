//! What a key may be used for: prepared when its record enters a worker's memory, decided for each of its requests.
//!
//! A rule only ever opens: what it does not name is refused, and so is whatever two programs could read in two ways.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr as _;

use crate::bytes::equal;
use crate::contract::path::before_query;
use crate::contract::restrict::Restrict;
use crate::decision::request::Request;

/// Why a request is outside of what its key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// Its method.
    Method,
    /// Its path.
    Path,
    /// The client's address.
    Address,
}

/// A [`Restrict`] made ready. `None` restricts nothing; a list that is there must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restriction {
    methods: Option<Box<[String]>>,
    paths: Option<Box<[PathRule]>>,
    networks: Option<Box<[Network]>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PathRule {
    path: String,
    /// Everything that begins with `path` matches, which ends in a slash then.
    below: bool,
}

/// The addresses that begin with the same bits. IPv4 addresses are those of `::ffff:0:0/96`, and no other network has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    bits: u128,
    mask: u128,
}

/// The network of IPv4 addresses among those of IPv6.
const MAPPED: Network =
    Network { bits: Ipv6Addr::new(0, 0, 0, 0, 0, 0xFFFF, 0, 0).to_bits(), mask: u128::MAX << 32 };

impl Restriction {
    /// Prepares it. What cannot be understood in a list matches nothing.
    pub fn new(restrict: &Restrict) -> Self {
        let Restrict { methods, paths, addresses } = restrict;
        Self {
            methods: some(methods, |method| Some(method.clone())),
            paths: some(paths, |path| Some(PathRule::new(path))),
            networks: some(addresses, |text| Network::parse(text)),
        }
    }

    /// True when it surely opens whatever the other one opens.
    pub fn opens_all_of(&self, other: &Self) -> bool {
        holds_all(self.methods.as_deref(), other.methods.as_deref())
            && holds_all(self.paths.as_deref(), other.paths.as_deref())
            && holds_all(self.networks.as_deref(), other.networks.as_deref())
    }

    /// Whether the key may be used for this request. `address` is asked only where addresses are restricted: it is a host call.
    pub fn check(
        &self,
        request: &Request<'_>,
        address: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<(), Forbidden> {
        if self.methods.as_deref().is_some_and(|methods| !admit_method(methods, request)) {
            return Err(Forbidden::Method);
        }
        if self.paths.as_deref().is_some_and(|paths| !admit_path(paths, request.path)) {
            return Err(Forbidden::Path);
        }
        let is_inside = |networks: &[Network]| address().is_some_and(|text| admit_address(networks, &text));
        if self.networks.as_deref().is_some_and(|networks| !is_inside(networks)) {
            return Err(Forbidden::Address);
        }
        Ok(())
    }
}

/// An empty list restricts nothing.
fn some<T>(list: &[String], read: impl Fn(&String) -> Option<T>) -> Option<Box<[T]>> {
    (!list.is_empty()).then(|| list.iter().filter_map(read).collect())
}

fn holds_all<T: PartialEq>(list: Option<&[T]>, other: Option<&[T]>) -> bool {
    let Some(list) = list else { return true };
    other.is_some_and(|other| other.iter().all(|entry| list.contains(entry)))
}

/// Behind an HTTP/2 hop an upgrade arrives as GET, whatever its method was, and what comes then has no method at all: so all three are
/// named by whoever wants that.
fn admit_method(methods: &[String], request: &Request<'_>) -> bool {
    let admits = |method: &[u8]| methods.iter().any(|open| equal(open.as_bytes(), method));
    admits(request.method) && (!request.is_upgrade() || (admits(b"CONNECT") && admits(b"GET")))
}

fn admit_path(rules: &[PathRule], target: &[u8]) -> bool {
    before_query(target).is_some_and(|path| rules.iter().any(|rule| rule.matches(path)))
}

/// `text` is Envoy's: an IP address, with or without a port. Whoever comes by a Unix socket has no address.
fn admit_address(networks: &[Network], text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let with_port = || SocketAddr::from_str(text).ok().map(|address| address.ip());
    let Some(address) = with_port().or_else(|| IpAddr::from_str(text).ok()) else { return false };
    let bits = to_bits(address);
    networks.iter().any(|network| network.has(bits))
}

fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl PathRule {
    fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(path) => Self { path: path.to_owned(), below: true },
            None => Self { path: text.to_owned(), below: false },
        }
    }

    fn matches(&self, path: &[u8]) -> bool {
        let wanted = self.path.as_bytes();
        let compared = if self.below { path.get(..wanted.len()) } else { Some(path) };
        compared.is_some_and(|compared| equal(compared, wanted))
    }
}

impl Network {
    /// An address, or one with the number of its first bits that count.
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, length)| (a, Some(length)));
        let address = IpAddr::from_str(address).ok()?;
        let (width, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let length = length.map_or(Some(width), |length| u32::from_str(length).ok())?;
        let length = (length <= width).then(|| length.saturating_add(before))?;
        let mask = u128::MAX.checked_shl(128u32.saturating_sub(length)).unwrap_or(0);
        Some(Self { bits: to_bits(address) & mask, mask })
    }

    const fn has(self, address: u128) -> bool {
        let is_mapped = address & MAPPED.mask == MAPPED.bits;
        let of_mapped = self.mask >= MAPPED.mask && self.bits & MAPPED.mask == MAPPED.bits;
        address & self.mask == self.bits && is_mapped == of_mapped
    }
}

#[cfg(test)]
mod tests;
