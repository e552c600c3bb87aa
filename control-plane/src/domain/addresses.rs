//! Which addresses count as one client.

use std::net::IpAddr;

/// What one household or server may have: 2^72 addresses of IPv6, one of IPv4.
pub(crate) fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits() >> 72 << 72,
    }
}

/// What counts as one address: whoever has one IPv6 address has at least the 2^64 around it.
pub(crate) fn neighbourhood(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
    }
}
