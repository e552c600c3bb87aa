//! Passwords: read, checked, hashed by argon2id, compared. Hashing is expensive on purpose, so it is done one by
//! one, on threads of its own.

use std::sync::{Arc, mpsc};
use std::thread;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::oneshot;

use crate::domain::error::Error;
use crate::domain::users::password::Password;

/// The hashers.
#[derive(Clone)]
pub(super) struct Passwords {
    /// Hash of a password that nobody knows: what an unknown user's password is compared with, at the same cost.
    nobody: Arc<str>,
    /// For whoever signs in: nobody knows yet who that is.
    strangers: Hasher,
    /// For those who are known, so that they never wait for strangers.
    known: Hasher,
}

/// Who waits for a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Nobody knows yet who that is.
    Strangers,
    /// Somebody who has signed in.
    Known,
}

/// A password in the form in which it is compared, and as it was typed where that differs: hashes from before there was a form were
/// made from that. Each look counts as an attempt, so that typing oddly gets nobody more work done than attempts are allowed, and both
/// are counted before the first: otherwise the first would use up the only one that is left, every time.
pub(super) struct Looks {
    prepared: Password,
    as_typed: Option<Password>,
}

impl Looks {
    /// The looks at what was typed. They depend on nothing else.
    pub fn at(password: Password) -> Self {
        let prepared = password.prepared();
        let as_typed = (prepared.reveal() != password.reveal()).then_some(password);
        Self { prepared, as_typed }
    }

    /// How many there are.
    pub const fn number(&self) -> u32 {
        if self.as_typed.is_some() { 2 } else { 1 }
    }

    /// What is compared first, and what then.
    pub fn in_order(self) -> (Password, Option<Password>) {
        (self.prepared, self.as_typed)
    }
}

/// A thread that hashes one password after the other. One of its own, because each takes 19 MiB: the allocator keeps that for
/// every thread that ever hashed.
#[derive(Clone)]
struct Hasher {
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Passwords {
    pub fn new() -> Result<Self, Error> {
        let nobody = hash_now(&Password::generate()?)?.into();
        Ok(Self { nobody, strangers: Hasher::start()?, known: Hasher::start()? })
    }

    /// The PHC string of a password, with a salt of its own.
    pub async fn hash(&self, password: Password) -> Result<String, Error> {
        self.known.run(move || hash_now(&password.prepared())).await
    }

    /// The same for somebody of whom nobody knows yet who that is: in the strangers' turn.
    pub async fn hash_of_stranger(&self, password: Password) -> Result<String, Error> {
        self.strangers.run(move || hash_now(&password.prepared())).await
    }

    /// Whether a password has this hash, as it is. Without a hash the answer is no, after the same work.
    pub async fn verify(
        &self,
        whose: Whose,
        password: Password,
        hash: Option<String>,
    ) -> Result<bool, Error> {
        let by = match whose {
            Whose::Strangers => &self.strangers,
            Whose::Known => &self.known,
        };
        let known = hash.is_some();
        let hash: Arc<str> = hash.map_or_else(|| Arc::clone(&self.nobody), Arc::from);
        let same = by.run(move || {
            let hash = PasswordHash::new(&hash).map_err(Error::internal)?;
            Ok(Argon2::default().verify_password(password.reveal().as_bytes(), &hash).is_ok())
        });
        Ok(same.await? && known)
    }
}

impl Hasher {
    /// The thread ends when nobody can give it work any more.
    fn start() -> Result<Self, Error> {
        let (jobs, work) = mpsc::channel::<Job>();
        let run = move || work.into_iter().for_each(|job| job());
        thread::Builder::new().name("passwords".to_owned()).spawn(run).map_err(Error::internal)?;
        Ok(Self { jobs })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (result, done) = oneshot::channel();
        let job = Box::new(move || {
            // Whoever has gone meanwhile costs no hash.
            if !result.is_closed() {
                let _ = result.send(work());
            }
        });
        self.jobs.send(job).map_err(|_| Error::internal("the thread for passwords has ended"))?;
        done.await.map_err(Error::internal)?
    }
}

fn hash_now(password: &Password) -> Result<String, Error> {
    // The default is argon2id, version 19, 19 MiB, two passes.
    Argon2::default()
        .hash_password(password.reveal().as_bytes())
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
            let password = || Password::new(password.to_owned());
            for whose in [Whose::Known, Whose::Strangers] {
                assert_eq!(passwords.verify(whose, password(), hash.clone()).await.unwrap(), same);
            }
        }
    }
}
