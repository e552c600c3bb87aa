//! Bearer tokens of people, scripts and gateways: which are good now, and how fast each admin token may be used.
//!
//! Tokens are kept as digests. Several are good at once, and the lists can be replaced while the server runs, so that a
//! token is replaced without an interruption: add the new one, move everybody over, take the old one away.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use flamegate::record::Limit;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::error::Error;

/// Shortest token, in characters.
pub const MIN_TOKEN_LEN: usize = 16;

/// SHA-256 of a token.
type Digest = [u8; 32];

/// Tokens as SHA-256 digests: the comparison takes the same time whatever is presented.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Digest>);

/// The tokens that are good now. Shared by everything that checks one.
pub struct TokenBook {
    lists: RwLock<Lists>,
    rate: Option<Rate>,
    /// Until when the requests so far keep an admin token busy (GCRA). Only of tokens that are good.
    busy_until: Mutex<HashMap<Digest, Instant>>,
}

struct Lists {
    admin: Tokens,
    sync: Tokens,
}

/// One request more each `interval` in the long run, as many at once as fit into `capacity`.
#[derive(Clone, Copy)]
struct Rate {
    interval: Duration,
    capacity: Duration,
}

impl Tokens {
    /// Tokens in clear text.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        Self(tokens.into_iter().map(|token| Sha256::digest(token).into()).collect())
    }

    /// True when `presented` is one of them.
    pub fn accept(&self, presented: &[u8]) -> bool {
        self.has(&Sha256::digest(presented).into())
    }

    /// True when a token is in both lists.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|digest| other.0.contains(digest))
    }

    fn has(&self, presented: &Digest) -> bool {
        // No early exit: which of several tokens matched must not show in the time either.
        self.0.iter().fold(subtle::Choice::from(0), |found, token| found | token.ct_eq(presented)).into()
    }
}

impl TokenBook {
    /// The lists to begin with; `limit` holds for each admin token by itself.
    pub fn new(admin: Tokens, sync: Tokens, limit: Option<&Limit>) -> Self {
        let rate = limit.map(Rate::new);
        Self { lists: RwLock::new(Lists { admin, sync }), rate, busy_until: Mutex::default() }
    }

    /// Other lists from now on. Polls that are held end as they would have.
    pub fn replace(&self, admin: Tokens, sync: Tokens) {
        let good = admin.clone();
        *self.lists.write().unwrap_or_else(PoisonError::into_inner) = Lists { admin, sync };
        self.busy_until.lock().unwrap_or_else(PoisonError::into_inner).retain(|digest, _| good.has(digest));
    }

    /// Lets a request with a token for gateways pass.
    pub fn check_sync(&self, presented: &[u8]) -> Result<(), Error> {
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        if lists.sync.accept(presented) { Ok(()) } else { Err(Error::Unauthorized) }
    }

    /// Lets a request with an admin token pass, unless the token was used too often.
    pub fn check_admin(&self, presented: &[u8], now: Instant) -> Result<(), Error> {
        let digest = Sha256::digest(presented).into();
        if !self.lists.read().unwrap_or_else(PoisonError::into_inner).admin.has(&digest) {
            return Err(Error::Unauthorized);
        }
        let Some(rate) = self.rate else { return Ok(()) };
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = busy_until.entry(digest).or_insert(now);
        *until = rate.take(*until, now)?;
        Ok(())
    }
}

impl Rate {
    fn new(limit: &Limit) -> Self {
        let interval = Duration::from_secs(limit.window_seconds.get().into()) / limit.requests.get();
        let interval = interval.max(Duration::from_nanos(1));
        Self { interval, capacity: interval * limit.burst.unwrap_or(limit.requests).get() }
    }

    /// The state after one request more.
    fn take(self, until: Instant, now: Instant) -> Result<Instant, Error> {
        let next = until.max(now) + self.interval;
        match (next - now).checked_sub(self.capacity) {
            None | Some(Duration::ZERO) => Ok(next),
            Some(wait) => Err(Error::RateLimited { retry_after_seconds: wait.as_secs() + 1 }),
        }
    }
}

/// The tokens of a list, separated by commas or lines.
pub fn token_list(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '\n']).map(str::trim).filter(|token| !token.is_empty())
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({} redacted)", self.0.len())
    }
}
