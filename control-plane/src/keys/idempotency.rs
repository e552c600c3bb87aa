//! A create or rotate repeated under its Idempotency-Key makes nothing: the plaintext of the first time is gone, so the
//! repeat can only be told which key it made.

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::store::Tx;
use crate::store::sqlite::idempotency;

/// The value of an `Idempotency-Key` header.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(String);

/// An operation that is done once per Idempotency-Key.
pub(super) struct Idempotent {
    key: IdempotencyKey,
    fingerprint: [u8; 32],
}

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

impl Idempotent {
    /// `operation` and `request` together say what "the same request" means.
    pub(super) fn new(key: IdempotencyKey, operation: &str, request: &impl Serialize) -> Result<Self, Error> {
        let mut digest = Sha256::new();
        digest.update(operation.as_bytes());
        digest.update([0]);
        digest.update(serde_json::to_vec(request).map_err(Error::internal)?);
        Ok(Self { key, fingerprint: digest.finalize().into() })
    }

    /// Fails when the key was used before. Must run in the transaction of [`Self::remember`].
    pub(super) async fn refuse_repeat(this: Option<&Self>, tx: &mut Tx, now: Timestamp) -> Result<(), Error> {
        let Some(this) = this else { return Ok(()) };
        match idempotency::find(tx, &this.key.0, now).await? {
            None => Ok(()),
            Some(earlier) if earlier.fingerprint == this.fingerprint => {
                Err(Error::AlreadyCreated(earlier.api_key_id))
            }
            Some(earlier) => Err(Error::IdempotencyKeyReused(earlier.api_key_id)),
        }
    }

    /// Notes which key was made.
    pub(super) async fn remember(
        this: Option<&Self>,
        tx: &mut Tx,
        id: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(this) = this else { return Ok(()) };
        idempotency::insert(tx, &this.key.0, &this.fingerprint, id, now).await
    }
}
