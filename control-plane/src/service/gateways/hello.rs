//! What a poll says about its sender, and how long a live gateway may be silent.

use std::time::Duration;

use crate::contract::Protocol;
use crate::domain::credentials::Credential;

/// How long a gateway whose connection broke is expected back: its longest back-off is 5 s, with jitter.
pub(super) const RECONNECT: Duration = Duration::from_secs(15);

/// What a live gateway may take between two polls beyond twice its wait.
pub(super) const MARGIN: Duration = Duration::from_secs(10);

/// What a poll says about its sender.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The credential that it has shown.
    pub credential: Credential,
    /// What the gateway calls itself.
    pub name: String,
    /// SHA-256 of its session, if it has one.
    pub session: Option<[u8; 32]>,
    /// Its program's version.
    pub version: Option<String>,
    /// How long it is ready to wait.
    pub wait: Duration,
    /// True when it refuses requests because no answer of ours has confirmed its table for too long.
    pub stale: bool,
    /// How many of its workers have the table; `None` for a filter that does not say.
    pub workers: Option<u32>,
    /// What every worker of it understands.
    pub accepts: Protocol,
    /// Whether a filter of it is in shadow; `None` for one that does not say.
    pub shadow: Option<bool>,
}
