//! What a client is told of a limit.

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Requests that would be admitted now.
    pub tokens: u64,
    /// Whole seconds, rounded up, until the limit is at rest or, when nothing is left, until the next request is admitted.
    pub reset_seconds: u64,
}
