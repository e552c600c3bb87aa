//! Which tokens are good now, and how fast each admin token may be used.
//!
//! Several are good at once, and the lists can be replaced while the server runs, so that a token is replaced without an
//! interruption: add the new one, move everybody over, take the old one away.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Instant;

use crate::contract::Limit;
use crate::domain::error::Error;
use crate::domain::rate::Rate;
use crate::domain::tokens::{Digest, Tokens};

/// The tokens that are good now. Shared by everything that checks one.
pub struct TokenBook {
    lists: RwLock<Lists>,
    rate: Option<Rate>,
    /// Until when the requests so far keep a token of an operator busy (GCRA). Only of tokens that are or were good.
    busy_until: Mutex<HashMap<Digest, Instant>>,
}

struct Lists {
    admin: Tokens,
    sync: Tokens,
    metrics: Tokens,
}

/// Tokens at rest are looked for when there are more entries than this.
const SWEEP_ABOVE: usize = 2_000;

impl TokenBook {
    /// The lists to begin with; `limit` holds for each admin token by itself.
    pub fn new(admin: Tokens, sync: Tokens, metrics: Tokens, limit: Option<&Limit>) -> Self {
        let rate = limit.map(Rate::new);
        Self { lists: RwLock::new(Lists { admin, sync, metrics }), rate, busy_until: Mutex::default() }
    }

    /// Other lists from now on. Polls that are held end as they would have.
    pub fn replace(&self, admin: Tokens, sync: Tokens, metrics: Tokens) {
        *self.lists.write().unwrap_or_else(PoisonError::into_inner) = Lists { admin, sync, metrics };
    }

    /// Lets a request with a token for gateways pass.
    pub fn check_sync(&self, presented: &[u8]) -> Result<(), Error> {
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        if lists.sync.accept(presented) { Ok(()) } else { Err(Error::Unauthorized) }
    }

    /// Lets a request with a token for metrics pass; without any such token whoever asks is let pass.
    pub fn check_metrics(&self, presented: Option<&[u8]>) -> Result<(), Error> {
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        let good = lists.metrics.is_empty() || presented.is_some_and(|token| lists.metrics.accept(token));
        if good { Ok(()) } else { Err(Error::Unauthorized) }
    }

    /// Whether this is an admin token of the environment.
    pub fn is_admin(&self, digest: &Digest) -> bool {
        self.lists.read().unwrap_or_else(PoisonError::into_inner).admin.has(digest)
    }

    /// Counts a request with a good token of an operator, unless it was used too often.
    pub fn count(&self, digest: Digest, now: Instant) -> Result<(), Error> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        if busy_until.len() > SWEEP_ABOVE {
            busy_until.retain(|_, until| *until > now);
        }
        let until = busy_until.entry(digest).or_insert(now);
        *until = rate.take(*until, now)?;
        Ok(())
    }
}
