//! How busy accounts and places are with attempts, over all control planes.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::error::Error;
use crate::domain::throttles::Attempts;

/// Writing.
#[async_trait]
pub trait WriteThrottles: Send {
    /// Adds these to what there is; how long each subject is busy now.
    async fn add_attempts(&mut self, attempts: &[Attempts]) -> Result<Vec<(String, Duration)>, Error>;

    /// Forgets who is at rest, and who is closest to it beyond this many.
    async fn forget_attempts(&mut self, keep: u32) -> Result<(), Error>;
}
