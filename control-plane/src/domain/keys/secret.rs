//! Key generation. A [`PlaintextKey`] exists from here to the body of the answer that shows it, and for a minute in memory
//! (see `service/keys/kept.rs`); it cannot be printed, cloned or stored, and its memory is wiped.

use std::fmt;

use zeroize::Zeroizing;

use crate::contract::{ApiKey, Environment, KeyHash, checksum};
use crate::domain::error::Error;
use crate::domain::random;

/// Random characters in a key: 32 base62 characters are 190 bits.
pub const SECRET_LEN: usize = 32;

/// How much of a key's end its hint shows.
pub const HINT_TAIL_LEN: usize = 4;

/// A whole key in clear text.
pub struct PlaintextKey(Zeroizing<String>);

/// A new key: the plaintext for its owner, the hash for the database, the hint for people.
pub struct GeneratedKey {
    /// Shown once.
    pub plaintext: PlaintextKey,
    /// Stored and sent to the gateways.
    pub hash: KeyHash,
    /// `sk_live_…a1B2`: enough to recognise a key, useless to guess it.
    pub hint: String,
}

impl GeneratedKey {
    /// `sk_live_` or `sk_test_`, 32 random base62 characters, and six of CRC-32 over all of that, so that scanners and
    /// gateways can tell a key from a typing error without asking anyone.
    pub fn new(environment: Environment) -> Result<Self, Error> {
        let prefix = environment.key_prefix();
        let mut text = Zeroizing::new(String::with_capacity(64));
        text.push_str(prefix);
        text.push_str(&random::base62(SECRET_LEN)?);
        let sum = checksum(text.as_bytes());
        text.extend(sum.iter().copied().map(char::from));
        let key = ApiKey::from_bytes(text.as_bytes())
            .ok_or_else(|| Error::internal("a generated key is no key"))?;
        let hash = key.hash();
        let tail = text.get(text.len() - HINT_TAIL_LEN..).unwrap_or_default();
        let hint = hint(environment, tail);
        Ok(Self { hash, hint, plaintext: PlaintextKey(text) })
    }
}

impl PlaintextKey {
    /// The key itself. Only for the body of the answer that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlaintextKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlaintextKey(redacted)")
    }
}

/// The hint of a key: its prefix, an ellipsis and its last characters.
pub fn hint(environment: Environment, tail: &str) -> String {
    format!("{}…{tail}", environment.key_prefix())
}

/// The hint of a key that is imported: of a short one no more than the prefix, since four characters would be much of it.
pub fn hint_of(environment: Environment, key: &str) -> String {
    let rest = key.strip_prefix(environment.key_prefix()).unwrap_or_default();
    let tail = rest.get(rest.len().saturating_sub(HINT_TAIL_LEN)..).unwrap_or_default();
    hint(environment, if rest.len() >= 4 * HINT_TAIL_LEN { tail } else { "" })
}

/// The hint of a key of which nothing is known but its hash.
pub const UNKNOWN_HINT: &str = "…";

/// True when the hint says nothing of a key that is not so.
pub fn is_hint_of(environment: Environment, hint: &str, key: &str) -> bool {
    let tail = hint.strip_prefix(environment.key_prefix()).and_then(|rest| rest.strip_prefix('…'));
    hint == UNKNOWN_HINT || tail.is_some_and(|tail| is_hint(environment, hint) && key.ends_with(tail))
}

/// True for a hint of `environment`: so short a text cannot be a key that someone imports by mistake.
pub fn is_hint(environment: Environment, text: &str) -> bool {
    let tail = text.strip_prefix(environment.key_prefix()).and_then(|rest| rest.strip_prefix('…'));
    tail.is_some_and(|tail| tail.len() <= HINT_TAIL_LEN && tail.bytes().all(|b| b.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_has_the_documented_form() {
        for environment in [Environment::Live, Environment::Test] {
            let made = GeneratedKey::new(environment).unwrap();
            let text = made.plaintext.expose();
            assert_eq!(text.len(), 8 + 32 + 6);
            assert!(text.starts_with(environment.key_prefix()));
            let key = ApiKey::from_bytes(text.as_bytes()).unwrap();
            assert!(key.has_valid_checksum() && key.hash() == made.hash);
            assert_eq!(made.hint, format!("{}…{}", environment.key_prefix(), &text[42..]));
            assert!(is_hint(environment, &made.hint));
        }
    }

    #[test]
    fn debug_output_does_not_show_the_key() {
        let made = GeneratedKey::new(Environment::Live).unwrap();
        assert_eq!(format!("{:?}", made.plaintext), "PlaintextKey(redacted)");
    }

    #[test]
    fn a_hint_of_a_key_is_true() {
        let key = "sk_live_legacy-4711";
        for hint in ["…", "sk_live_…", "sk_live_…4711", "sk_live_…1"] {
            assert!(is_hint_of(Environment::Live, hint, key), "{hint}");
        }
        for hint in ["sk_test_…4711", "sk_live_…4712", "sk_live_…-4711", "4711", ""] {
            assert!(!is_hint_of(Environment::Live, hint, key), "{hint}");
        }
    }

    #[test]
    fn a_whole_key_is_no_hint() {
        let made = GeneratedKey::new(Environment::Live).unwrap();
        assert!(!is_hint(Environment::Live, made.plaintext.expose()));
        assert!(!is_hint(Environment::Test, &made.hint));
    }
}
