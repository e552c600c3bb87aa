//! What a configuration says, once it is read.

use std::fmt;
use std::rc::Rc;

use crate::decision::auth::Accepts;
use crate::decision::bypass::BypassRule;
use crate::decision::known_key::KnownKey;
use crate::decision::published::Published;
use crate::decision::sources::KeySources;
use crate::decision::throttle::ThrottleConfig;

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
    /// Where keys may stand; `None` for `Authorization: Bearer` alone.
    pub key_sources: Option<Rc<KeySources>>,
    /// Whether what would be refused passes all the same, and is only counted.
    pub shadow: bool,
    /// Whether CORS preflights need no key.
    pub cors_preflight: bool,
    /// Whether `Authorization` reaches the upstream.
    pub forward_authorization: bool,
    /// Whether the identity goes upstream as headers.
    pub identity_headers: bool,
    /// What is published as filter state.
    pub published: Published,
    /// Whether open streams end when their key is gone.
    pub end_streams: bool,
    /// Whether `RateLimit` headers are also on responses that were admitted.
    pub rate_limit_on_success: bool,
    /// Whether a request that the proxy redirects internally keeps its key.
    pub internal_redirects: bool,
    /// Whether routes say in their metadata what requests cost and whose keys they are for.
    pub route_settings: bool,
    /// Most records in a worker's cache.
    pub cache_records: usize,
    /// Age of the table at which requests get 503, in nanoseconds.
    pub max_staleness_ns: Option<u64>,
    /// Path that is answered with whether this gateway can answer requests with a key; `None` for none.
    pub readiness_path: Option<String>,
    /// How long after the VM's start requests wait for the first table, in nanoseconds; 0 for not at all.
    pub start_hold_ns: u64,
    /// How long a request waits for a token of a fleet limit, in nanoseconds; 0 for not at all.
    pub fleet_wait_ns: u64,
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
    /// The same while there is no table yet: no request waits for the thread that takes these pages in.
    pub first_page_size: u32,
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

impl fmt::Debug for SyncConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncConfig")
            .field("mode", &self.mode)
            .field("cluster", &self.cluster)
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}
