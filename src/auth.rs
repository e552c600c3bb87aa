//! The decision who is calling: `Authorization` → key → record → valid now? → [`Permit`] or [`Denial`].
//!
//! A permit can only be made here. Everything is a pure function of bytes, a look-up and a clock reading.

use std::rc::Rc;

use crate::api_key::{ApiKey, Authorization, BearerToken, Environment, KeyHash, NoToken};
use crate::host::WallClock;
use crate::known_key::KnownKey;
use crate::limit::Refusal;
use crate::record::Scope;
use crate::reply::Headers;

/// The right to pass, with the identity that goes upstream. Made by [`authenticate`] alone.
#[derive(Clone, Debug)]
pub struct Permit {
    key: Rc<KnownKey>,
}

/// Why a request does not pass. Clients see only the public codes; operators see the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// There is no bearer token to look at.
    Unauthorized(NoToken),
    /// The token is not an active key here. One answer for all reasons, so that nothing leaks.
    InvalidApiKey(InvalidApiKey),
    /// A limit is used up.
    RateLimited(RateLimited),
    /// Its client address sent too many bad keys; this one was not looked at.
    Throttled(Throttled),
    /// The filter cannot know: telling a good client that its key is invalid would be a lie.
    Unavailable(Unavailable),
}

/// Why a token is not an active key here. A revoked key is unknown: its record is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidApiKey {
    /// It has not the form of a key.
    Malformed,
    /// No record has its hash.
    Unknown,
    /// Its time is over.
    Expired,
    /// This gateway does not accept its environment.
    Environment,
}

/// Which limit refused and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimited {
    /// The limit's scope.
    pub scope: Scope,
    /// Value of `Retry-After`: whole seconds, at least 1; a request sent then is admitted.
    pub retry_after_seconds: u64,
    /// `Retry-After`, `RateLimit` and `RateLimit-Policy`, ready to be sent.
    pub headers: Headers,
}

/// Until when a client address may not try another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Value of `Retry-After`: whole seconds, at least 1; a key sent then is looked at.
    pub retry_after_seconds: u64,
    /// `Retry-After`, ready to be sent.
    pub headers: Headers,
}

/// Why the key table cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// No table has been received yet, or it is gone or unreadable.
    NotSynced,
    /// The table is older than the configuration allows.
    Stale,
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
pub fn authenticate(
    header: Authorization<'_>,
    accepts: Accepts,
    now: impl FnOnce() -> WallClock,
    find: impl FnOnce(&KeyHash) -> Result<Option<Rc<KnownKey>>, Unavailable>,
) -> Result<Permit, Denial> {
    let token = BearerToken::parse(header).map_err(Denial::Unauthorized)?;
    let invalid = |reason| Err(Denial::InvalidApiKey(reason));
    let Some(api_key) = ApiKey::from_token(token) else { return invalid(InvalidApiKey::Malformed) };
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

impl RateLimited {
    /// From the limiter's refusal of one of this key's limits.
    pub fn new(key: &KnownKey, refusal: &Refusal) -> Self {
        let slot = key.slots().get(refusal.slot);
        let seconds = refusal.retry_after_seconds();
        Self {
            scope: slot.map_or(Scope::Key, |slot| slot.scope()),
            retry_after_seconds: seconds,
            headers: key.refusal_headers(refusal.slot, seconds),
        }
    }
}

#[cfg(test)]
mod tests;
