//! Passwords: read, checked, hashed by argon2id, compared. Hashing is expensive on purpose, so only a few run at once,
//! off the threads that serve requests.

use std::fmt;
use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use serde::{Deserialize, Deserializer};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::error::{Error, Problems};
use crate::random;

/// A password in clear text. It cannot be printed or stored, and its memory is wiped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// The hasher.
#[derive(Clone)]
pub(super) struct Passwords {
    /// Hash of a password that nobody knows: what an unknown user's password is compared with, at the same cost.
    nobody: Arc<str>,
    slots: Arc<Semaphore>,
}

/// Shortest password, in characters.
pub const MIN_CHARS: usize = 12;
/// Longest password, in bytes.
pub const MAX_BYTES: usize = 256;
/// Random characters in a generated password: 119 bits.
const GENERATED_LEN: usize = 20;
/// How many are hashed at once, each in 19 MiB.
const AT_ONCE: usize = 2;

impl Password {
    /// Wraps what someone has typed.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// A random one.
    pub fn generate() -> Result<Self, Error> {
        random::base62(GENERATED_LEN).map(Self)
    }

    /// The password itself. Only for the answer that shows a generated one.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Notes what is wrong with it as a new password of this user.
    pub(super) fn check(&self, email: &str, problems: &mut Problems) {
        if self.0.chars().count() < MIN_CHARS || self.0.len() > MAX_BYTES {
            problems.add(
                "password",
                format!("must be {MIN_CHARS} characters or more, at most {MAX_BYTES} bytes"),
            );
        } else if self.0.to_lowercase().contains(email) {
            problems.add("password", "must not contain the e-mail address");
        }
    }
}

impl Passwords {
    pub fn new() -> Result<Self, Error> {
        let nobody = hash_now(&Password::generate()?)?.into();
        Ok(Self { nobody, slots: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// The PHC string of a password, with a salt of its own.
    pub async fn hash(&self, password: Password) -> Result<String, Error> {
        let _slot = self.slots.acquire().await.map_err(Error::internal)?;
        spawn_blocking(move || hash_now(&password)).await.map_err(Error::internal)?
    }

    /// Whether a password has this hash. Without a hash the answer is no, after the same work.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, Error> {
        let _slot = self.slots.acquire().await.map_err(Error::internal)?;
        let known = hash.is_some();
        let hash: Arc<str> = hash.map_or_else(|| Arc::clone(&self.nobody), Arc::from);
        let same = spawn_blocking(move || {
            let hash = PasswordHash::new(&hash).map_err(Error::internal)?;
            Ok::<_, Error>(Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok())
        });
        Ok(same.await.map_err(Error::internal)?? && known)
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

fn hash_now(password: &Password) -> Result<String, Error> {
    // The default is argon2id, version 19, 19 MiB, two passes.
    Argon2::default()
        .hash_password(password.0.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| Error::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_argon2id_and_fits_its_password_only() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash(Password::new("correct horse".to_owned())).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        for (password, hash, same) in [
            ("correct horse", Some(hash.clone()), true),
            ("correct horsf", Some(hash), false),
            ("correct horse", None, false),
        ] {
            assert_eq!(passwords.verify(Password::new(password.to_owned()), hash).await.unwrap(), same);
        }
    }

    #[test]
    fn debug_output_does_not_show_the_password() {
        assert_eq!(format!("{:?}", Password::new("secret".to_owned())), "Password(redacted)");
    }
}
