//! A second factor: six digits from an app that shares a secret with us and knows the time (TOTP, RFC 6238: HMAC-SHA1, 30 s), and recovery
//! codes for whoever has lost the app.
//!
//! A code is good for its own 30 seconds and the ones before and after, because clocks differ, and once: whoever has looked over a
//! shoulder is too late.

use std::fmt;

use jiff::Timestamp;
use ring::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::domain::error::Error;

/// Bytes of a secret: as many as the HMAC's (RFC 4226, 4).
const SECRET_LEN: usize = 20;
/// Length of a step in seconds.
const STEP: i64 = 30;
/// How many steps a clock may be wrong, before and behind.
const SKEW: i64 = 1;
/// Digits of a code, and how many codes there are.
const DIGITS: usize = 6;
const CODES: u32 = 1_000_000;
/// How many recovery codes somebody gets.
pub const RECOVERY_CODES: usize = 10;
/// Characters of one: 80 bits, so a plain hash of it is enough.
const RECOVERY_LEN: usize = 16;
/// Of these characters none is taken for another one (RFC 4648, base32, in lower case).
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What the app and we share. It cannot be printed, and its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<[u8; SECRET_LEN]>);

/// A second factor as stored.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    /// What the app has, too.
    pub secret: Secret,
    /// Since when it is asked for.
    pub since: Timestamp,
    /// The step whose code was used last.
    pub last_step: i64,
}

/// A recovery code in clear text. It cannot be printed, and its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<String>);

/// What somebody has typed where a code is asked for.
pub enum Typed {
    /// Six digits.
    Code(u32),
    /// Something that may be a recovery code: its hash.
    Recovery([u8; 32]),
}

impl Secret {
    /// A random one.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; SECRET_LEN]);
        getrandom::fill(bytes.as_mut_slice()).map_err(Error::internal)?;
        Ok(Self(bytes))
    }

    /// The one with these bytes.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// Its bytes, for where it is kept.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// As people type it into an app: base32 in capitals.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(base32(self.bytes()).to_ascii_uppercase())
    }

    /// The step whose code this is, at this time, if it is one that comes behind the step that was used last.
    pub fn step_of(&self, code: u32, now: Timestamp, last: i64) -> Option<i64> {
        let current = now.as_second().div_euclid(STEP);
        (current - SKEW..=current + SKEW).find(|step| *step > last && self.code(*step) == code)
    }

    /// The code of a step (RFC 4226, 5.3).
    pub fn code(&self, step: i64) -> u32 {
        let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.bytes());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = tag.last().map_or(0, |last| usize::from(last & 15));
        let four = tag.iter().skip(at).take(4).fold(0u32, |number, byte| (number << 8) | u32::from(*byte));
        (four & 0x7fff_ffff) % CODES
    }

    /// What the QR code says (Key Uri Format): for an account of this name, at a place of this name.
    pub fn uri(&self, account: &str, place: &str) -> String {
        let [account, place] = [account, place].map(escape);
        format!("otpauth://totp/{place}:{account}?secret={}&issuer={place}", self.text().as_str())
    }
}

impl RecoveryCode {
    /// As many as somebody gets.
    pub fn generate_all() -> Result<Vec<Self>, Error> {
        let one = |_| {
            let mut bytes = Zeroizing::new([0; RECOVERY_LEN * 5 / 8]);
            getrandom::fill(bytes.as_mut_slice()).map_err(Error::internal)?;
            Ok(Self(Zeroizing::new(base32(bytes.as_slice()))))
        };
        (0..RECOVERY_CODES).map(one).collect()
    }

    /// The one with these characters.
    pub fn of(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// Its characters.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The same in groups of four, as it is shown.
    pub fn shown(&self) -> String {
        let characters: Vec<_> = self.0.chars().collect();
        let groups: Vec<String> = characters.chunks(4).map(|four| four.iter().collect()).collect();
        groups.join("-")
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl Typed {
    /// Blanks and hyphens are left out, and case does not count.
    pub fn read(text: &str) -> Self {
        let plain = text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_lowercase());
        // No code is longer; text that grows would leave copies of itself in memory.
        let mut kept = Zeroizing::new(String::with_capacity(4 * (RECOVERY_LEN + 1)));
        kept.extend(plain.take(RECOVERY_LEN + 1));
        let is_code = kept.len() == DIGITS && kept.bytes().all(|byte| byte.is_ascii_digit());
        match kept.parse() {
            Ok(code) if is_code => Self::Code(code),
            _ => Self::Recovery(RecoveryCode(kept).hash()),
        }
    }
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for five in bytes.chunks(5) {
        let number = five.iter().fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        text.extend((0..8).rev().map(|place| {
            let digit = usize::try_from((number >> (5 * place)) & 31).unwrap_or_default();
            BASE32.get(digit).map_or('a', |letter| char::from(*letter))
        }));
    }
    text
}

fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::of(b"12345678901234567890").unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// RFC 6238, appendix B (SHA1), the last six of its eight digits; and RFC 4226, appendix D, by counter.
    #[test]
    fn codes_are_those_of_the_standards() {
        for (second, code) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            assert_eq!(secret().code(second / 30), code, "{second}");
        }
        let counted =
            [755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871, 520_489];
        for (counter, code) in (0..).zip(counted) {
            assert_eq!(secret().code(counter), code, "{counter}");
        }
    }

    #[test]
    fn a_code_is_good_around_its_time_and_not_again() {
        let (secret, step) = (secret(), 1_000_000);
        let code = secret.code(step);
        for (second, good) in [(-31, false), (-30, true), (0, true), (59, true), (60, false)] {
            let found = secret.step_of(code, at(step * 30 + second), -1);
            assert_eq!(found, good.then_some(step), "{second}");
        }
        assert_eq!(secret.step_of(code, at(step * 30), step), None, "it was used");
        assert_eq!(
            secret.step_of(secret.code(step - 1), at(step * 30), step),
            None,
            "an older one is not new"
        );
        assert_eq!(secret.step_of(secret.code(step + 1), at(step * 30), step), Some(step + 1));
    }

    #[test]
    fn the_text_is_base32_and_the_address_is_escaped() {
        assert_eq!(secret().text().as_str(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            secret().uri("ada+x@example.com", "Flamegate keys.example.com"),
            "otpauth://totp/Flamegate%20keys.example.com:ada%2Bx%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Flamegate%20keys.example.com"
        );
        assert_eq!(format!("{:?}", secret()), "Secret(redacted)");
        assert_ne!(Secret::generate().unwrap(), Secret::generate().unwrap());
    }

    #[test]
    fn what_is_typed_is_a_code_or_a_recovery_code_however_it_is_written() {
        for text in ["081804", " 081 804 ", "081-804"] {
            assert!(matches!(Typed::read(text), Typed::Code(81_804)), "{text}");
        }
        let one = RecoveryCode::of("abcdefghijklmno7");
        assert_eq!(one.shown(), "abcd-efgh-ijkl-mno7");
        for (text, same) in [
            ("abcdefghijklmno7", true),
            (" ABCD-EFGH ijkl-mno7", true),
            ("abcdefghijklmno6", false),
            ("abcdefghijklmno77", false),
            ("", false),
            ("0818040", false),
            ("\u{0664}81804", false),
        ] {
            let Typed::Recovery(hash) = Typed::read(text) else { panic!("{text}") };
            assert_eq!(hash == one.hash(), same, "{text}");
        }
        let all = RecoveryCode::generate_all().unwrap();
        assert!(all.len() == 10 && all.iter().all(|code| code.reveal().len() == 16) && all[0] != all[1]);
        assert_eq!(format!("{:?}", all[0]), "RecoveryCode(redacted)");
    }
}
