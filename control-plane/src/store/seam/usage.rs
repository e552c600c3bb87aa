//! What keys are used for.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::error::Error;
use crate::domain::usage::{Bucket, KeyGateway, KeyRow, Minute, Period, Rows, Step, Tally};

/// Reading.
#[async_trait]
pub trait ReadUsage: Send {
    /// The rows of the keys with these ids; an id that nobody has is left out.
    async fn key_rows(&mut self, ids: &[String]) -> Result<Vec<(String, KeyRow)>, Error>;

    /// What a key was used for, oldest first; buckets without a request are not there.
    async fn usage_of_key(&mut self, key_seq: i64, period: &Period) -> Result<Vec<Bucket>, Error>;

    /// The same of all keys of a workspace together.
    async fn usage_of_workspace(&mut self, workspace_seq: i64, period: &Period)
    -> Result<Vec<Bucket>, Error>;

    /// Ids of the keys that were used most on the days from `from` until before `to`, with their sums. Of each day the `most` busiest
    /// are looked at.
    async fn busiest_keys(
        &mut self,
        workspace_seq: i64,
        from: Minute,
        to: Minute,
        most: u32,
    ) -> Result<Vec<(String, Tally)>, Error>;

    /// When counting began; `None` before the first post.
    async fn usage_since(&mut self) -> Result<Option<Minute>, Error>;

    /// Where these keys were used last, at a few gateways each.
    async fn gateways_of_keys(&mut self, keys: &[i64]) -> Result<Vec<KeyGateway>, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteUsage: ReadUsage {
    /// Moves the number of a gateway's process on to this one; false when it is there already or further.
    async fn take_usage_number(
        &mut self,
        credential: &str,
        session: &[u8; 32],
        sequence: u64,
        now: Timestamp,
    ) -> Result<bool, Error>;

    /// Adds counts, and moves last uses forward. What was added is not lost when the engine fails.
    async fn add_usage(&mut self, rows: &Rows, now: Timestamp) -> Result<(), Error>;

    /// Takes at most so many of the changes that the log has seen since the last time: which keys are active, for who asks for those that are
    /// unused. True when there are more.
    async fn follow_keys(&mut self, most: u32) -> Result<bool, Error>;

    /// Forgets at most so many buckets of this length that begin before a minute. Returns how many.
    async fn forget_usage(&mut self, step: Step, before: Minute, limit: u32) -> Result<u64, Error>;

    /// Forgets processes that were last seen before then, and those of each credential beyond the `most` that were seen last.
    async fn forget_usage_numbers(&mut self, before: Timestamp, most: u32) -> Result<(), Error>;
}
