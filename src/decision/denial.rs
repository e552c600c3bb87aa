//! Why a request does not pass. Clients see only the public codes; operators see the reason.

use crate::contract::record::Scope;
use crate::limit::Refusal;

use super::credential::NoToken;
use super::headers::Headers;
use super::known_key::KnownKey;
use super::restriction::Forbidden;

/// Why a request does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// There is no bearer token to look at.
    Unauthorized(NoToken),
    /// The token is not an active key here. One answer for all reasons, so that nothing leaks.
    InvalidApiKey(InvalidApiKey),
    /// The key is good, and may not be used for this.
    Forbidden(Forbidden),
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

/// Why nobody can say whether the key is good for this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// No table has been received yet, or it is gone or unreadable.
    NotSynced,
    /// The table is older than the configuration allows.
    Stale,
    /// The key has a plan that is not there.
    NoPlan,
    /// What the route says of its requests cannot be read.
    RouteSettings,
}

impl RateLimited {
    /// From the limiter's refusal of one of this key's limits, of which so many tokens are `left`: too few.
    pub fn new(key: &KnownKey, refusal: &Refusal, left: u64) -> Self {
        let slot = key.slots().get(refusal.slot);
        let seconds = refusal.retry_after_seconds();
        Self {
            scope: slot.map_or(Scope::Key, |slot| slot.scope()),
            retry_after_seconds: seconds,
            headers: key.refusal_headers(refusal.slot, seconds, left),
        }
    }
}
