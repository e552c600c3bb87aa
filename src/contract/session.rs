//! The session of a gateway's process: the secret that tells the control plane which process speaks under a gateway's name, so that
//! nobody else with the same token can acknowledge for it.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Header of a poll with the session of the gateway's process: 32 hexadecimal digits.
pub const SESSION_HEADER: &str = "x-flamegate-session";

/// 16 random bytes. Cannot be printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Session([u8; 16]);

impl Session {
    /// From random bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes. Not for logs.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From 32 hexadecimal digits, upper or lower case: the wire form.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// 32 lower-case hexadecimal digits: the wire form. Not for logs.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// SHA-256 of the bytes: what the control plane remembers.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_32_digits_and_nothing_prints_it() {
        let session = Session::new([7; 16]);
        let hex = session.to_hex();
        assert_eq!((hex.len(), Session::from_hex(&hex)), (32, Some(session)));
        for wrong in ["", "00", &"g".repeat(32), &"0".repeat(33), &"0".repeat(64)] {
            assert_eq!(Session::from_hex(wrong), None, "{wrong}");
        }
        assert!(!format!("{session:?}").contains(&hex));
    }
}
