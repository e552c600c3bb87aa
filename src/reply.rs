//! The one table that turns a denial into HTTP. Nothing else in the filter writes a status code.

use crate::auth::Denial;
use crate::record::Limit;

/// An answer that the proxy gives instead of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u32,
    /// Response-code details for access logs; a word, stable.
    pub details: &'static str,
    /// Headers beside `content-length`.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON envelope.
    pub body: &'static str,
    /// `grpc-status` for requests that are gRPC (the numbers of google.rpc.Code).
    pub grpc_status: i32,
}

const UNAUTHORIZED: &str =
    r#"{"success":false,"error":{"code":"UNAUTHORIZED","message":"Invalid or missing API key"}}"#;
const INVALID_API_KEY: &str = r#"{"success":false,"error":{"code":"INVALID_API_KEY","message":"The API key is invalid or has been revoked"}}"#;
const RATE_LIMITED: &str =
    r#"{"success":false,"error":{"code":"RATE_LIMITED","message":"Too many requests, slow down"}}"#;
const UNAVAILABLE: &str = r#"{"success":false,"error":{"code":"UNAVAILABLE","message":"API key verification is temporarily unavailable"}}"#;

impl Reply {
    /// The answer to a denial. `realm` names the protected space in `WWW-Authenticate` (RFC 9110 section 11.6.1, RFC 6750
    /// section 3).
    pub fn new(denial: &Denial, realm: &str) -> Self {
        let challenge = |rest: &str| ("www-authenticate", format!("Bearer realm=\"{realm}\"{rest}"));
        let (status, grpc_status, details, body, headers) = match denial {
            Denial::Unauthorized(_) => (401, 16, "flamegate_unauthorized", UNAUTHORIZED, vec![challenge("")]),
            Denial::InvalidApiKey(_) => {
                let headers = vec![challenge(", error=\"invalid_token\"")];
                (401, 16, "flamegate_invalid_api_key", INVALID_API_KEY, headers)
            }
            Denial::RateLimited(limited) => {
                let headers = vec![
                    ("retry-after", limited.retry_after_seconds.to_string()),
                    ("ratelimit", limited.rate_limit.clone()),
                    ("ratelimit-policy", limited.rate_limit_policy.clone()),
                ];
                (429, 8, "flamegate_rate_limited", RATE_LIMITED, headers)
            }
            Denial::Unavailable(_) => {
                (503, 14, "flamegate_unavailable", UNAVAILABLE, vec![("retry-after", "1".to_owned())])
            }
        };
        let mut reply = Self { status, details, headers, body, grpc_status };
        reply.headers.push(("content-type", "application/json".to_owned()));
        reply
    }
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

#[cfg(test)]
mod tests;
