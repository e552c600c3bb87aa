//! The plugin configuration: JSON in, [`Config`] or *every* mistake with its path out.
//!
//! Parsing is a pure function of the bytes and the environment: Envoy's validation and every worker come to the same
//! answer, which matters because Envoy lets requests through unauthenticated when a worker refuses what validation
//! accepted. Unknown fields, wrong types and contradictions are mistakes. Defaults stand in `parse` and nowhere else.

mod fields;
mod parse;

use std::fmt;
use std::rc::Rc;

use crate::auth::Accepts;
use crate::bypass::BypassRule;
use crate::known_key::KnownKey;
use crate::throttle::ThrottleConfig;

use fields::Mistakes;

/// What one plugin instance is configured to do.
#[derive(Debug)]
pub struct Config {
    /// Filter or sync.
    pub role: Role,
    /// How requests are decided.
    pub filter: FilterConfig,
    /// How the table is kept; `None` when only static keys are used.
    pub sync: Option<SyncConfig>,
    /// Time between two looks at the table's status, in milliseconds.
    pub tick_ms: u32,
}

/// What this instance of the plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Decides requests, on every worker.
    Filter,
    /// Keeps the table, as a bootstrap singleton.
    Sync,
}

/// How requests are decided.
#[derive(Debug)]
pub struct FilterConfig {
    /// `realm` in `WWW-Authenticate`.
    pub realm: String,
    /// Which keys are accepted at all.
    pub accepts: Accepts,
    /// Requests that need no key.
    pub bypass: Vec<BypassRule>,
    /// Whether CORS preflights need no key.
    pub cors_preflight: bool,
    /// Whether `Authorization` reaches the upstream.
    pub forward_authorization: bool,
    /// Whether the identity goes upstream as headers.
    pub identity_headers: bool,
    /// Whether the identity is published as filter state.
    pub filter_state: bool,
    /// Whether open streams end when their key is gone.
    pub end_streams: bool,
    /// Whether `RateLimit` headers are also on responses that were admitted.
    pub rate_limit_on_success: bool,
    /// Most records in a worker's cache.
    pub cache_records: usize,
    /// Age of the table at which requests get 503, in nanoseconds.
    pub max_staleness_ns: Option<u64>,
    /// How failures of one client address are throttled; `None` for not at all.
    pub failure_throttle: Option<ThrottleConfig>,
    /// Keys that need no control plane; looked up before the table.
    pub static_keys: Vec<Rc<KnownKey>>,
}

/// How the table is kept equal to the control plane's.
#[derive(Clone, PartialEq, Eq)]
pub struct SyncConfig {
    /// Who does it.
    pub mode: SyncMode,
    /// Envoy cluster of the control plane.
    pub cluster: String,
    /// `:authority` of the calls.
    pub authority: String,
    /// Name of this gateway; empty for Envoy's node id.
    pub gateway: String,
    /// The sync token: a secret, so `Debug` leaves it out.
    pub token: String,
    /// How long the control plane may hold a poll, in seconds.
    pub wait_seconds: u32,
    /// Records asked for per page.
    pub page_size: u32,
    /// First and longest pause after a failure, in milliseconds.
    pub retry_ms: (u32, u32),
}

/// Who keeps the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// A bootstrap service with role `sync`; this plugin only reads.
    Singleton,
    /// One root context of this plugin, chosen by a lease.
    Elected,
}

/// Every mistake of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Mistake>);

/// One mistake: where and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Path of the field, as `bypass[0].path`; empty for the whole text.
    pub path: String,
    /// What is wrong with it and what is right.
    pub problem: String,
}

impl Config {
    /// Parses the plugin configuration. `environment` looks an environment variable up.
    pub fn parse(json: &[u8], environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut mistakes = Mistakes::default();
        let value = match fields::parse_json(json) {
            Ok(value) => value,
            Err(problem) => {
                mistakes.add("", problem);
                return Err(mistakes.into_error());
            }
        };
        let config = parse::parse_root(&value, &environment, &mut mistakes);
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(mistakes.into_error()),
        }
    }
}

impl fmt::Debug for SyncConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncConfig")
            .field("mode", &self.mode)
            .field("cluster", &self.cluster)
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mistake(s) in the plugin configuration", self.0.len())?;
        for mistake in &self.0 {
            let path = if mistake.path.is_empty() { "configuration" } else { &mistake.path };
            write!(f, "; {path}: {}", mistake.problem)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
