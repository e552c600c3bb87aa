//! A create or rotate repeated under its Idempotency-Key makes nothing: the plaintext of the first time is gone, so the
//! repeat can only be told which key it made.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::domain::error::Error;
use jiff::SignedDuration;

/// What was made under an Idempotency-Key before.
pub struct Earlier {
    /// SHA-256 of that request.
    pub fingerprint: Vec<u8>,
    /// The key that it made.
    pub api_key_id: String,
}

/// The value of an `Idempotency-Key` header.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(String);

/// An operation that is done once per Idempotency-Key.
pub(crate) struct Idempotent {
    key: IdempotencyKey,
    fingerprint: [u8; 32],
}

/// How long an Idempotency-Key is remembered.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(24);

const MAX_LEN: usize = 255;

impl IdempotencyKey {
    /// 1 to 255 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let visible = !text.is_empty() && text.len() <= MAX_LEN && text.bytes().all(|b| b.is_ascii_graphic());
        if visible {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid("Idempotency-Key", format!("1 to {MAX_LEN} visible ASCII characters")))
        }
    }
}

impl IdempotencyKey {
    /// The same text of one workspace's own: no header has a space in it, so nobody else's is the same.
    pub(crate) fn of(&self, workspace: &str) -> Self {
        Self(format!("{workspace} {}", self.0))
    }
}

impl Idempotent {
    /// `operation` and `request` together say what "the same request" means.
    pub(crate) fn new(key: IdempotencyKey, operation: &str, request: &impl Serialize) -> Result<Self, Error> {
        let mut digest = Sha256::new();
        digest.update(operation.as_bytes());
        digest.update([0]);
        digest.update(serde_json::to_vec(request).map_err(Error::internal)?);
        Ok(Self { key, fingerprint: digest.finalize().into() })
    }

    /// The text of the header.
    pub(crate) fn key(&self) -> &str {
        &self.key.0
    }

    /// SHA-256 of the operation and the request.
    pub(crate) const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }
}
