//! What was made under an Idempotency-Key.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::error::Error;
use crate::domain::keys::Earlier;

/// Reading.
#[async_trait]
pub trait ReadRequests: Send {
    /// What was made under this Idempotency-Key within the last day.
    async fn find_earlier(&mut self, idempotency_key: &str, now: Timestamp)
    -> Result<Option<Earlier>, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteRequests: ReadRequests {
    /// Remembers what was made, in place of anything older than a day.
    async fn remember_request(
        &mut self,
        idempotency_key: &str,
        fingerprint: &[u8],
        api_key_id: &str,
        now: Timestamp,
    ) -> Result<(), Error>;

    /// Forgets what is older than a day.
    async fn forget_old_requests(&mut self, now: Timestamp) -> Result<(), Error>;
}
