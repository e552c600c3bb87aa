//! From the operating system's randomness: uniform base62 text (key secrets, ids, epochs), and times that vary.

use std::time::Duration;

use zeroize::Zeroizing;

use super::error::Error;
use crate::contract::BASE62;

/// The largest multiple of 62 in a byte. Bytes from here on are thrown away: taking them modulo 62 would make the
/// first eight characters likelier than the rest.
const UNBIASED: u8 = 248;

/// `len` base62 characters, each with the same probability. Fails only when the OS gives no randomness.
pub fn base62(len: usize) -> Result<Zeroizing<String>, Error> {
    // Reserved whole, so that no half of a secret is left behind by a reallocation.
    let mut text = Zeroizing::new(String::with_capacity(len));
    let mut pool = Zeroizing::new([0u8; 64]);
    while text.len() < len {
        getrandom::fill(pool.as_mut_slice()).map_err(Error::internal)?;
        let fair = pool
            .iter()
            .filter(|byte| **byte < UNBIASED)
            .map(|byte| char::from(BASE62[usize::from(byte % 62)]));
        let missing = len - text.len();
        text.extend(fair.take(missing));
    }
    Ok(text)
}

/// Length of an id in bytes. Envoy's strings hold up to 22 without memory of their own (libc++), and ids of keys and
/// workspaces are header values of every request: two more bytes would cost 200 instructions each.
const ID_LEN: usize = 22;

/// An id: `prefix` and base62 characters up to 22 bytes (after `key_` 18 of them, 107 bits, so two never meet).
pub fn id(prefix: &str) -> Result<String, Error> {
    Ok(format!("{prefix}{}", base62(ID_LEN.saturating_sub(prefix.len()))?.as_str()))
}

/// A number of 62 bits, so that two never meet and databases, whose numbers have a sign, can hold it.
pub fn mark() -> Result<u64, Error> {
    getrandom::u64().map(|number| number >> 2).map_err(Error::internal)
}

/// 32 bytes: a key to sign with.
pub fn bytes() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}

/// Some time of at most `longest`, another one each time, so that many who wait do not end at once.
pub fn some_of(longest: Duration) -> Duration {
    // Without randomness all wait for as long.
    let part = getrandom::u32().unwrap_or(u32::MAX);
    longest.mul_f64(f64::from(part) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_appears_about_as_often() {
        let text = base62(62 * 1_000).unwrap();
        for symbol in BASE62 {
            let count = text.bytes().filter(|b| b == symbol).count();
            // Mean 1000, deviation 31.6: eight deviations.
            assert!((750..1_250).contains(&count), "{} came {count} times", char::from(*symbol));
        }
    }

    #[test]
    fn ids_are_safe_names_and_differ() {
        let (a, b) = (id("key_").unwrap(), id("key_").unwrap());
        assert!(crate::contract::is_name(&a) && a.len() == 22 && a != b);
    }
}
