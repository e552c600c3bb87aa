//! What an answer tells about limits: `Retry-After`, `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11).

use crate::contract::record::Limit;

use super::headers::Headers;

/// These headers and what every answer has: its content type, and that nobody keeps it. Without the latter a route that makes
/// answers cacheable would do so with a 401, too.
pub fn answer<'t, const N: usize>(headers: [(&'t str, &'t str); N]) -> Headers {
    let all = [("content-type", "application/json"), ("cache-control", "no-store")];
    Headers::new(headers.into_iter().chain(all))
}

/// Headers of a 429 that no limit of a key gave.
pub fn retry_after_headers(seconds: u64) -> Headers {
    answer([("retry-after", &seconds.to_string())])
}

/// Headers of a 429: the limit called `name` admits a request in so many `seconds`; `policy` describes all of the key's limits.
pub fn refusal_headers(name: &str, seconds: u64, policy: &str) -> Headers {
    answer([
        ("retry-after", &seconds.to_string()),
        ("ratelimit", &rate_limit(name, 0, seconds)),
        ("ratelimit-policy", policy),
    ])
}

/// `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11): what is left of a limit and in how many seconds it is whole
/// or, when nothing is left, in how many seconds the next request is admitted.
pub fn rate_limit(name: &str, remaining: u64, reset_seconds: u64) -> String {
    format!("\"{name}\";r={remaining};t={reset_seconds}")
}

/// `RateLimit-Policy` of a record's limits (same draft): quota, and window in seconds.
pub fn rate_limit_policy(limits: &[Limit]) -> String {
    let items = limits.iter().map(|l| format!("\"{}\";q={};w={}", l.name, l.requests, l.window_seconds));
    items.collect::<Vec<_>>().join(", ")
}
