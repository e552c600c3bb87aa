//! The decision who is calling: credential → key → record → valid now? → [`Permit`] or [`Denial`].
//!
//! A permit can only be made here. Everything is a pure function of bytes, a look-up and a clock reading.

use std::rc::Rc;

use crate::contract::key::{Environment, KeyHash};
use crate::host::WallClock;

use super::credential::Presented;
use super::denial::{Denial, InvalidApiKey, Unavailable};
use super::known_key::KnownKey;

/// The right to pass, with the identity that goes upstream. Made by [`authenticate`] and
/// [`readmit`] alone.
#[derive(Clone, Debug)]
pub struct Permit {
    key: Rc<KnownKey>,
}

/// What a gateway accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepts {
    /// Production keys.
    pub live: bool,
    /// Development keys.
    pub test: bool,
    /// Only keys with a valid checksum are hashed and looked up.
    pub checksum_only: bool,
}

impl Accepts {
    const fn environment(self, environment: Environment) -> bool {
        match environment {
            Environment::Live => self.live,
            Environment::Test => self.test,
        }
    }
}

impl Permit {
    /// The same right at a later moment: everything that it depends on was checked when it was earned and is forgotten
    /// when it changes, except the time.
    pub fn renewed(&self, now: impl FnOnce() -> WallClock) -> Result<Self, Denial> {
        if self.key.is_expired(now) {
            Err(Denial::InvalidApiKey(InvalidApiKey::Expired))
        } else {
            Ok(self.clone())
        }
    }

    /// Its key.
    pub fn into_key(self) -> Rc<KnownKey> {
        self.key
    }

    /// The key that the request came with.
    pub const fn key(&self) -> &Rc<KnownKey> {
        &self.key
    }
}

/// Finds out who is calling. `find` looks a hash up; it is asked once, and only for a well-formed key. `now` is asked only
/// about a key that expires.
pub fn authenticate<'a>(
    credential: impl Into<Presented<'a>>,
    accepts: Accepts,
    now: impl FnOnce() -> WallClock,
    find: impl FnOnce(&KeyHash) -> Result<Option<Rc<KnownKey>>, Unavailable>,
) -> Result<Permit, Denial> {
    let token = credential.into().token().map_err(Denial::Unauthorized)?;
    let invalid = |reason| Err(Denial::InvalidApiKey(reason));
    let Some(api_key) = token.api_key() else { return invalid(InvalidApiKey::Malformed) };
    if accepts.checksum_only && !api_key.has_valid_checksum() {
        return invalid(InvalidApiKey::Malformed);
    }
    if !accepts.environment(api_key.environment()) {
        return invalid(InvalidApiKey::Environment);
    }
    let Some(key) = find(&api_key.hash()).map_err(Denial::Unavailable)? else {
        return invalid(InvalidApiKey::Unknown);
    };
    // Prefix and record can only differ after a wrong import; the stricter reading wins.
    if key.record().environment != api_key.environment() {
        return invalid(InvalidApiKey::Environment);
    }
    if key.is_expired(now) {
        return invalid(InvalidApiKey::Expired);
    }
    Ok(Permit { key })
}

/// Finds out again who is calling, from the hash of a key that was admitted when the same request came for the first time. The key
/// may be gone since, or this be another filter with other rules.
pub fn readmit(
    hash: &KeyHash,
    accepts: Accepts,
    now: impl FnOnce() -> WallClock,
    find: impl FnOnce(&KeyHash) -> Result<Option<Rc<KnownKey>>, Unavailable>,
) -> Result<Permit, Denial> {
    let Some(key) = find(hash).map_err(Denial::Unavailable)? else {
        return Err(Denial::InvalidApiKey(InvalidApiKey::Unknown));
    };
    if !accepts.environment(key.record().environment) {
        return Err(Denial::InvalidApiKey(InvalidApiKey::Environment));
    }
    Permit { key }.renewed(now)
}

#[cfg(test)]
mod tests;
