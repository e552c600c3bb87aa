//! Doing something once per Idempotency-Key: looked up and noted in the transaction that does it, so that of two requests with the
//! same key at the same time exactly one makes a key.

use jiff::Timestamp;

use crate::domain::error::Error;
use crate::domain::keys::Idempotent;
use crate::store::{Tx, View};

/// Fails when the key was used before. Must run in the transaction of [`remember`].
pub(super) async fn refuse_repeat(
    once: Option<&Idempotent>,
    tx: &mut View,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(once) = once else { return Ok(()) };
    match tx.find_earlier(once.key(), now).await? {
        None => Ok(()),
        Some(earlier) if earlier.fingerprint == once.fingerprint() => {
            Err(Error::AlreadyCreated(earlier.api_key_id))
        }
        Some(earlier) => Err(Error::IdempotencyKeyReused(earlier.api_key_id)),
    }
}

/// Notes which key was made.
pub(super) async fn remember(
    once: Option<&Idempotent>,
    tx: &mut Tx,
    id: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(once) = once else { return Ok(()) };
    tx.remember_request(once.key(), once.fingerprint(), id, now).await
}
