//! Every metric's name, and the counters that a VM collects between two ticks. A host call per count would cost more than
//! the decision it counts, so counts go to Envoy once per tick.

use crate::contract::record::Scope;
use crate::decision::auth::Permit;
use crate::decision::bypass::Bypass;
use crate::decision::credential::NoToken;
use crate::decision::denial::{Denial, InvalidApiKey, Unavailable};
use crate::decision::restriction::Forbidden;

/// What is counted. The names are Envoy stat names below `wasmcustom.`; the bootstrap's `stats_tags` turn the last two
/// words of `flamegate_requests_total.<verdict>.<reason>` into Prometheus labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its name")]
pub enum Counter {
    PermittedKey,
    PermittedRedirected,
    BypassedPath,
    BypassedPreflight,
    UnauthorizedMissing,
    UnauthorizedRepeated,
    UnauthorizedScheme,
    UnauthorizedEmpty,
    UnauthorizedPreflightBody,
    UnauthorizedRedirected,
    InvalidMalformed,
    InvalidUnknown,
    InvalidExpired,
    InvalidEnvironment,
    ForbiddenMethod,
    ForbiddenPath,
    ForbiddenAddress,
    RateLimitedKey,
    RateLimitedWorkspace,
    RateLimitedAddress,
    UnavailableNotSynced,
    UnavailableStale,
    UnavailableNoPlan,
    UnavailableRouteSettings,
    UnavailableInternal,
    ReadinessReady,
    ReadinessWaiting,
    HeldRequests,
    LimiterFallback,
    StreamsEnded,
    SyncPages,
    SyncFailures,
    SyncUnauthorized,
    TableEpochChanges,
    UsagePosts,
    UsageFailures,
    FleetHeld,
    FleetAlone,
    FleetCalls,
    FleetFailures,
    FleetRefusedWhileHeld,
}

/// Names of the counters, in the order of [`Counter`].
pub const COUNTERS: [&str; 41] = [
    "flamegate_requests_total.permitted.key",
    "flamegate_requests_total.permitted.redirected",
    "flamegate_requests_total.bypassed.path",
    "flamegate_requests_total.bypassed.preflight",
    "flamegate_requests_total.unauthorized.missing",
    "flamegate_requests_total.unauthorized.repeated",
    "flamegate_requests_total.unauthorized.scheme",
    "flamegate_requests_total.unauthorized.empty",
    "flamegate_requests_total.unauthorized.preflight_body",
    "flamegate_requests_total.unauthorized.redirected",
    "flamegate_requests_total.invalid_api_key.malformed",
    "flamegate_requests_total.invalid_api_key.unknown",
    "flamegate_requests_total.invalid_api_key.expired",
    "flamegate_requests_total.invalid_api_key.environment",
    "flamegate_requests_total.forbidden.method",
    "flamegate_requests_total.forbidden.path",
    "flamegate_requests_total.forbidden.address",
    "flamegate_requests_total.rate_limited.key",
    "flamegate_requests_total.rate_limited.workspace",
    "flamegate_requests_total.rate_limited.address",
    "flamegate_requests_total.unavailable.not_synced",
    "flamegate_requests_total.unavailable.stale",
    "flamegate_requests_total.unavailable.no_plan",
    "flamegate_requests_total.unavailable.route_settings",
    "flamegate_requests_total.unavailable.internal",
    "flamegate_requests_total.readiness.ready",
    "flamegate_requests_total.readiness.waiting",
    "flamegate_held_requests_total",
    "flamegate_limiter_fallback_total",
    "flamegate_streams_ended_total",
    "flamegate_sync_pages_total",
    "flamegate_sync_failures_total",
    "flamegate_sync_unauthorized_total",
    "flamegate_table_epoch_changes_total",
    "flamegate_usage_posts_total",
    "flamegate_usage_failures_total",
    "flamegate_fleet_held_total",
    "flamegate_fleet_alone_total",
    "flamegate_fleet_calls_total",
    "flamegate_fleet_failures_total",
    "flamegate_fleet_refused_while_held_total",
];

/// Names of the gauges: number of keys; revision; age of the table in seconds; whether there is a table (1) or none (0); and when
/// the control plane last confirmed it, in seconds since the Unix epoch (0 while there is none). The last one is true even where
/// nobody is left to write it.
pub const GAUGES: [&str; 5] = [
    "flamegate_keys",
    "flamegate_revision",
    "flamegate_table_age_seconds",
    "flamegate_table_present",
    "flamegate_table_confirmed_timestamp_seconds",
];

/// Gauges of limits that the fleet counts together, which the sync writes once it has lent anything: 1 while tokens are lent and 2 while
/// they cannot be; and the tokens that lie in the process's pools.
pub const FLEET_GAUGES: [&str; 2] = ["flamegate_fleet_limits_mode", "flamegate_fleet_tokens"];

/// Counts since the last flush.
#[derive(Clone, Debug)]
pub struct Counts {
    counts: [u64; COUNTERS.len()],
    /// The same of requests that have passed in shadow. Only verdicts on requests are ever counted here.
    shadowed: [u64; COUNTERS.len()],
}

/// The name of a counter's twin, which counts the requests that would have been refused so and have passed in shadow:
/// `flamegate_requests_total.shadow_rate_limited.key`.
pub fn shadow_name(name: &str) -> String {
    name.replacen('.', ".shadow_", 1)
}

impl Default for Counts {
    fn default() -> Self {
        Self { counts: [0; COUNTERS.len()], shadowed: [0; COUNTERS.len()] }
    }
}

impl Counts {
    /// Adds one.
    pub fn increment(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds several.
    pub fn add(&mut self, counter: Counter, count: u64) {
        if let Some(value) = self.counts.get_mut(counter as usize) {
            *value = value.saturating_add(count);
        }
    }

    /// Adds one request that would have been refused and has passed in shadow.
    pub fn increment_shadowed(&mut self, counter: Counter) {
        if let Some(value) = self.shadowed.get_mut(counter as usize) {
            *value = value.saturating_add(1);
        }
    }

    /// The counts that are not zero, as (index into [`COUNTERS`], count), and starts again from zero.
    pub fn take(&mut self) -> impl Iterator<Item = (usize, u64)> {
        moved(std::mem::replace(&mut self.counts, [0; COUNTERS.len()]))
    }

    /// The same of requests that have passed in shadow.
    pub fn take_shadowed(&mut self) -> impl Iterator<Item = (usize, u64)> {
        moved(std::mem::replace(&mut self.shadowed, [0; COUNTERS.len()]))
    }

    /// The count since the last flush.
    pub fn get(&self, counter: Counter) -> u64 {
        self.counts.get(counter as usize).copied().unwrap_or(0)
    }
}

fn moved(counts: [u64; COUNTERS.len()]) -> impl Iterator<Item = (usize, u64)> {
    counts.into_iter().enumerate().filter(|(_, count)| *count > 0)
}

impl Counter {
    /// Verdict and reason of a request's counter, `rate_limited.key`: what its name ends in.
    pub fn verdict_and_reason(self) -> &'static str {
        let name = COUNTERS.get(self as usize).copied().unwrap_or_default();
        name.split_once('.').map_or(name, |(_, rest)| rest)
    }

    /// The last word of its name: for a request, the label `reason`.
    pub fn reason(self) -> &'static str {
        let name = COUNTERS.get(self as usize).copied().unwrap_or_default();
        name.rsplit('.').next().unwrap_or_default()
    }
}

impl From<&Permit> for Counter {
    fn from(_: &Permit) -> Self {
        Self::PermittedKey
    }
}

impl From<Bypass> for Counter {
    fn from(bypass: Bypass) -> Self {
        match bypass {
            Bypass::Path => Self::BypassedPath,
            Bypass::Preflight => Self::BypassedPreflight,
        }
    }
}

impl From<&Denial> for Counter {
    fn from(denial: &Denial) -> Self {
        match denial {
            Denial::Unauthorized(NoToken::Missing) => Self::UnauthorizedMissing,
            Denial::Unauthorized(NoToken::Repeated) => Self::UnauthorizedRepeated,
            Denial::Unauthorized(NoToken::Scheme) => Self::UnauthorizedScheme,
            Denial::Unauthorized(NoToken::Empty) => Self::UnauthorizedEmpty,
            Denial::Unauthorized(NoToken::PreflightBody) => Self::UnauthorizedPreflightBody,
            Denial::Unauthorized(NoToken::Redirected) => Self::UnauthorizedRedirected,
            Denial::InvalidApiKey(InvalidApiKey::Malformed) => Self::InvalidMalformed,
            Denial::InvalidApiKey(InvalidApiKey::Unknown) => Self::InvalidUnknown,
            Denial::InvalidApiKey(InvalidApiKey::Expired) => Self::InvalidExpired,
            Denial::InvalidApiKey(InvalidApiKey::Environment) => Self::InvalidEnvironment,
            Denial::Forbidden(Forbidden::Method) => Self::ForbiddenMethod,
            Denial::Forbidden(Forbidden::Path) => Self::ForbiddenPath,
            Denial::Forbidden(Forbidden::Address) => Self::ForbiddenAddress,
            Denial::RateLimited(limited) => match limited.scope {
                Scope::Key => Self::RateLimitedKey,
                Scope::Workspace => Self::RateLimitedWorkspace,
            },
            Denial::Throttled(_) => Self::RateLimitedAddress,
            Denial::Unavailable(Unavailable::NotSynced) => Self::UnavailableNotSynced,
            Denial::Unavailable(Unavailable::Stale) => Self::UnavailableStale,
            Denial::Unavailable(Unavailable::NoPlan) => Self::UnavailableNoPlan,
            Denial::Unavailable(Unavailable::RouteSettings) => Self::UnavailableRouteSettings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::COUNTERS;
    use crate::contract::reasons::REASONS;

    /// A control plane calls a reason that is not in the list `other`.
    #[test]
    fn the_contract_knows_each_reason_for_which_a_request_is_refused() {
        let passes = ["permitted.", "bypassed.", "readiness."];
        let reasons = COUNTERS.iter().filter_map(|name| name.strip_prefix("flamegate_requests_total."));
        let refused: Vec<_> =
            reasons.filter(|reason| !passes.iter().any(|verdict| reason.starts_with(verdict))).collect();
        assert_eq!(refused, REASONS, "a new one belongs into src/contract/reasons.rs, too");
    }
}
