//! What would have been refused and has passed in shadow.

use async_trait::async_trait;

use crate::domain::error::Error;
use crate::domain::shadow::{KeySum, ReasonSum};
use crate::domain::usage::{Minute, ShadowRows};

/// Reading.
#[async_trait]
pub trait ReadShadow: Send {
    /// Keys that are not revoked and of which something has passed since that day, the latest first: of the newest `look` rows those behind
    /// the first `offset`, and how many there are.
    async fn shadowed_keys(
        &mut self,
        since: Minute,
        look: u32,
        offset: u32,
        limit: u32,
    ) -> Result<(Vec<KeySum>, u64), Error>;

    /// What has passed since that day, by gateway and reason: of the newest `look` rows.
    async fn shadowed_reasons(&mut self, since: Minute, look: u32) -> Result<Vec<ReasonSum>, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteShadow: ReadShadow {
    /// Adds rows. Gateways of a credential beyond [`crate::domain::usage::MOST_GATEWAYS_A_DAY`] are one.
    async fn add_shadow(&mut self, rows: &ShadowRows) -> Result<(), Error>;

    /// Forgets at most so many rows of days that begin before a minute, of each kind. Returns how many.
    async fn forget_shadow(&mut self, before: Minute, limit: u32) -> Result<u64, Error>;
}
