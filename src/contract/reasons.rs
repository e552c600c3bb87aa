//! Why a request is refused, in words that gateway and control plane share. A list, so that requests whose key is not known make a bounded
//! number of rows.

/// Why a request is refused: the verdict and the reason, as the counters of requests have them.
pub const REASONS: [&str; 21] = [
    "unauthorized.missing",
    "unauthorized.repeated",
    "unauthorized.scheme",
    "unauthorized.empty",
    "unauthorized.preflight_body",
    "unauthorized.redirected",
    "invalid_api_key.malformed",
    "invalid_api_key.unknown",
    "invalid_api_key.expired",
    "invalid_api_key.environment",
    "forbidden.method",
    "forbidden.path",
    "forbidden.address",
    "rate_limited.key",
    "rate_limited.workspace",
    "rate_limited.address",
    "unavailable.not_synced",
    "unavailable.stale",
    "unavailable.no_plan",
    "unavailable.route_settings",
    "unavailable.internal",
];

/// Stands for reasons that a newer gateway has.
pub const OTHER_REASON: &str = "other";

/// The reason as it is kept: one that is not in the list is [`OTHER_REASON`].
pub fn known_reason(reason: &str) -> &'static str {
    REASONS.into_iter().find(|known| *known == reason).unwrap_or(OTHER_REASON)
}
