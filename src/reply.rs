//! The one table that turns a denial into HTTP. Nothing else in the filter writes a status code.

use std::rc::Rc;

use crate::auth::Denial;
use crate::record::Limit;
use crate::request::{read_map, serialize_map};

/// An answer that the proxy gives instead of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u32,
    /// Response-code details for access logs; a word, stable.
    pub details: &'static str,
    /// Headers beside `content-length`.
    pub headers: Headers,
    /// The JSON envelope.
    pub body: &'static str,
    /// `grpc-status` for requests that are gRPC (the numbers of google.rpc.Code).
    pub grpc_status: i32,
}

/// Response headers as the host reads them: serialised once, sent as often as it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers(Rc<[u8]>);

/// The answers to all denials. Only the headers of a 429 differ from request to request.
#[derive(Clone, Debug)]
pub struct Replies {
    unauthorized: Reply,
    invalid_api_key: Reply,
    unavailable: Reply,
}

const UNAUTHORIZED: &str =
    r#"{"success":false,"error":{"code":"UNAUTHORIZED","message":"Invalid or missing API key"}}"#;
const INVALID_API_KEY: &str = r#"{"success":false,"error":{"code":"INVALID_API_KEY","message":"The API key is invalid or has been revoked"}}"#;
const RATE_LIMITED: &str =
    r#"{"success":false,"error":{"code":"RATE_LIMITED","message":"Too many requests, slow down"}}"#;
const UNAVAILABLE: &str = r#"{"success":false,"error":{"code":"UNAVAILABLE","message":"API key verification is temporarily unavailable"}}"#;

impl Replies {
    /// Prepares the answers. `realm` names the protected space in `WWW-Authenticate` (RFC 9110 section 11.6.1, RFC 6750
    /// section 3).
    pub fn new(realm: &str) -> Self {
        let reply = |status, grpc_status, details, body, (name, value): (&str, &str)| Reply {
            status,
            details,
            headers: Headers::new([(name, value)]),
            body,
            grpc_status,
        };
        let challenge = format!("Bearer realm=\"{realm}\"");
        let challenge = ("www-authenticate", challenge.as_str());
        let invalid = format!("{}, error=\"invalid_token\"", challenge.1);
        let invalid = ("www-authenticate", invalid.as_str());
        Self {
            unauthorized: reply(401, 16, "flamegate_unauthorized", UNAUTHORIZED, challenge),
            invalid_api_key: reply(401, 16, "flamegate_invalid_api_key", INVALID_API_KEY, invalid),
            unavailable: reply(503, 14, "flamegate_unavailable", UNAVAILABLE, ("retry-after", "1")),
        }
    }

    /// The answer to a denial.
    pub fn to(&self, denial: &Denial) -> Reply {
        match denial {
            Denial::Unauthorized(_) => self.unauthorized.clone(),
            Denial::InvalidApiKey(_) => self.invalid_api_key.clone(),
            Denial::Unavailable(_) => self.unavailable.clone(),
            Denial::RateLimited(limited) => too_many("flamegate_rate_limited", &limited.headers),
            Denial::Throttled(throttled) => too_many("flamegate_throttled", &throttled.headers),
        }
    }
}

/// A 429. `details` tells a used-up limit from a throttled address; clients see no difference but in the headers.
fn too_many(details: &'static str, headers: &Headers) -> Reply {
    Reply { status: 429, details, headers: headers.clone(), body: RATE_LIMITED, grpc_status: 8 }
}

impl Headers {
    /// These headers and the content type of every answer.
    fn new<'t, const N: usize>(headers: [(&'t str, &'t str); N]) -> Self {
        let all = headers.into_iter().chain([("content-type", "application/json")]);
        Self(serialize_map(all).into())
    }

    /// The serialised map.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = None;
        read_map(&self.0, |header| {
            if header.name() == name.as_bytes() {
                found = std::str::from_utf8(header.value()).ok();
            }
        })?;
        found
    }
}

/// Headers of a 429 that no limit of a key gave.
pub fn retry_after_headers(seconds: u64) -> Headers {
    Headers::new([("retry-after", &seconds.to_string())])
}

/// Headers of a 429: the limit called `name` admits a request in so many `seconds`; `policy` describes all of the key's limits.
pub fn refusal_headers(name: &str, seconds: u64, policy: &str) -> Headers {
    Headers::new([
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

#[cfg(test)]
mod tests;
