//! A password in clear text, as somebody types it or as it is made for them.

use std::fmt;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use serde::{Deserialize, Deserializer};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::domain::error::{Error, Problems};
use crate::domain::random;

/// A password in clear text. It cannot be printed or stored, and its memory is wiped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// Shortest password, in characters.
pub const MIN_CHARS: usize = 12;

/// Longest password, in bytes.
pub const MAX_BYTES: usize = 256;

/// Random characters in a generated password: 119 bits.
const GENERATED_LEN: usize = 20;

impl Password {
    /// Wraps what someone has typed.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The form in which passwords are hashed and compared (RFC 8265, OpaqueString): composed (NFC), and every kind of blank is a space.
    /// One system types an umlaut in one piece, another in two.
    pub(crate) fn prepared(&self) -> Self {
        // Composing makes at most three times as many bytes; text that grows would leave copies of itself in memory.
        let mut text = Zeroizing::new(String::with_capacity(self.0.len().saturating_mul(3)));
        let blanks = CodePointMapData::<GeneralCategory>::new();
        let is_blank = |c| blanks.get(c) == GeneralCategory::SpaceSeparator;
        text.extend(self.0.chars().map(|c| if is_blank(c) { ' ' } else { c }).nfc());
        Self(text)
    }

    /// A random one.
    pub fn generate() -> Result<Self, Error> {
        random::base62(GENERATED_LEN).map(Self)
    }

    /// The password itself. Only for the answer that shows a generated one, and for its hash.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Notes what is wrong with it as a new password of this user.
    pub(crate) fn check(&self, email: &str, problems: &mut Problems) {
        let prepared = self.prepared().0;
        if prepared.chars().count() < MIN_CHARS || self.0.len().max(prepared.len()) > MAX_BYTES {
            problems.add(
                "password",
                format!("must be {MIN_CHARS} characters or more, at most {MAX_BYTES} bytes"),
            );
        } else if prepared.to_lowercase().contains(email) {
            problems.add("password", "must not contain the e-mail address");
        }
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_does_not_show_the_password() {
        assert_eq!(format!("{:?}", Password::new("secret".to_owned())), "Password(redacted)");
    }

    #[test]
    fn a_password_is_prepared_as_rfc_8265_says() {
        for (typed, prepared) in [
            ("correct horse battery", "correct horse battery"),
            ("A\u{308}rger \u{c4}rger", "\u{c4}rger \u{c4}rger"),
            ("a\u{a0}b\u{3000}c\u{2003}d", "a b c d"),
            // Neither case nor width is changed, and nothing is trimmed.
            (" Q\u{ff21} ", " Q\u{ff21} "),
        ] {
            assert_eq!(Password::new(typed.to_owned()).prepared().reveal(), prepared);
        }
        let mut problems = Problems::default();
        // Twelve as people count, in twelve pieces of two characters or three bytes.
        Password::new("a\u{308}".repeat(12)).check("ada@example.com", &mut problems);
        assert!(problems.is_empty());
        Password::new("a\u{308}".repeat(11)).check("ada@example.com", &mut problems);
        assert!(!problems.is_empty());
    }
}
