//! What several keys are used for, in one question: for lists.

use async_trait::async_trait;

use crate::domain::error::Error;
use crate::domain::usage::{Bucket, Period};

/// Reading.
#[async_trait]
pub trait ReadUsageLines: Send {
    /// What several keys were used for, each bucket with its key's row, in no order; buckets without a request are not there.
    async fn usage_of_keys(&mut self, key_seqs: &[i64], period: &Period)
    -> Result<Vec<(i64, Bucket)>, Error>;
}
