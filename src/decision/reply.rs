//! The one table that turns a denial into HTTP. Nothing else in the filter writes a status code.

mod grpc;

use super::denial::Denial;
use super::headers::Headers;
use super::rate_limit::answer;
use super::sources::{KeySources, Source};

/// An answer that the proxy gives instead of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status; Envoy sends gRPC clients 200 and `grpc_status`.
    pub status: u32,
    /// Response-code details for access logs; a word, stable.
    pub details: &'static str,
    /// Headers beside `content-length`.
    pub headers: Headers,
    /// The JSON envelope; for gRPC clients its message alone, of which Envoy makes `grpc-message`.
    pub body: &'static str,
    /// `grpc-status` for requests that are gRPC (the numbers of google.rpc.Code).
    pub grpc_status: i32,
}

/// A public code: what a client sees of it in JSON and in gRPC.
struct Code {
    status: u32,
    grpc_status: i32,
    body: &'static str,
}

/// An answer in both forms.
#[derive(Clone, Debug)]
struct Both {
    json: Reply,
    grpc: Reply,
}

/// The answers to all denials. Only the headers of a 429 differ from request to request.
#[derive(Clone, Debug)]
pub struct Replies {
    unauthorized: Both,
    invalid_api_key: Both,
    forbidden: Both,
    unavailable: Both,
    ready: Reply,
    /// [`grpc::STATUS_DETAILS`] of a 429.
    rate_limited: String,
}

const UNAUTHORIZED: Code = Code {
    status: 401,
    grpc_status: 16,
    body: r#"{"success":false,"error":{"code":"UNAUTHORIZED","message":"Invalid or missing API key"}}"#,
};
const INVALID_API_KEY: Code = Code {
    status: 401,
    grpc_status: 16,
    body: r#"{"success":false,"error":{"code":"INVALID_API_KEY","message":"The API key is invalid or has been revoked"}}"#,
};
const FORBIDDEN: Code = Code {
    status: 403,
    grpc_status: 7,
    body: r#"{"success":false,"error":{"code":"FORBIDDEN","message":"This API key may not be used for this request"}}"#,
};
const RATE_LIMITED: Code = Code {
    status: 429,
    grpc_status: 8,
    body: r#"{"success":false,"error":{"code":"RATE_LIMITED","message":"Too many requests, slow down"}}"#,
};
const READY: Code = Code { status: 200, grpc_status: 0, body: r#"{"success":true,"data":{"ready":true}}"# };
const UNAVAILABLE: Code = Code {
    status: 503,
    grpc_status: 14,
    body: r#"{"success":false,"error":{"code":"UNAVAILABLE","message":"API key verification is temporarily unavailable"}}"#,
};

impl Code {
    /// The text of a field of the envelope. The envelopes stand above, and a test reads them as JSON.
    fn field(&self, name: &str) -> &'static str {
        let value = self.body.split_once(name).and_then(|(_, rest)| rest.strip_prefix("\":\""));
        value.and_then(|rest| rest.split('"').next()).unwrap_or_default()
    }

    fn reply(&self, details: &'static str, headers: Headers) -> Reply {
        let Self { status, grpc_status, body } = *self;
        Reply { status, details, headers, body, grpc_status }
    }

    /// The same for a gRPC client: people read `grpc-message`, programs the reason in `grpc-status-details-bin`.
    fn grpc_reply(&self, details: &'static str, headers: &Headers, status_details: &str) -> Reply {
        let headers = for_grpc(headers, status_details);
        Reply { body: self.field("message"), ..self.reply(details, headers) }
    }

    fn status_details(&self, realm: &str) -> String {
        grpc::status_details(self.grpc_status, self.field("message"), self.field("code"), realm)
    }
}

/// The public code of a denial, as its answer has it.
pub fn code(denial: &Denial) -> &'static str {
    let code = match denial {
        Denial::Unauthorized(_) => UNAUTHORIZED,
        Denial::InvalidApiKey(_) => INVALID_API_KEY,
        Denial::Forbidden(_) => FORBIDDEN,
        Denial::RateLimited(_) | Denial::Throttled(_) => RATE_LIMITED,
        Denial::Unavailable(_) => UNAVAILABLE,
    };
    code.field("code")
}

impl Replies {
    /// Prepares the answers. `realm` names the protected space in `WWW-Authenticate` (RFC 9110 section 11.6.1, RFC 6750
    /// section 3), and is the domain of the reason that gRPC clients get. `sources` are the places of a key, when there are others
    /// than `Authorization: Bearer`.
    pub fn new(realm: &str, sources: Option<&KeySources>) -> Self {
        let both = |code: &Code, details, headers: Headers| {
            let grpc = code.grpc_reply(details, &headers, &code.status_details(realm));
            Both { json: code.reply(details, headers), grpc }
        };
        let challenged = |error| {
            let challenges = challenges(realm, error, sources);
            answer(challenges.iter().map(|challenge| ("www-authenticate", challenge.as_str())))
        };
        let invalid = challenged(", error=\"invalid_token\"");
        Self {
            unauthorized: both(&UNAUTHORIZED, "flamegate_unauthorized", challenged("")),
            invalid_api_key: both(&INVALID_API_KEY, "flamegate_invalid_api_key", invalid),
            forbidden: both(&FORBIDDEN, "flamegate_forbidden", answer([])),
            unavailable: both(&UNAVAILABLE, "flamegate_unavailable", answer([("retry-after", "1")])),
            ready: READY.reply("flamegate_ready", answer([])),
            rate_limited: RATE_LIMITED.status_details(realm),
        }
    }

    /// The answer to a probe of a gateway that can decide requests.
    pub fn ready(&self) -> Reply {
        self.ready.clone()
    }

    /// The answer to a denial; `is_grpc` says whether Envoy takes the request for gRPC.
    pub fn to(&self, denial: &Denial, is_grpc: bool) -> Reply {
        let form = |both: &Both| if is_grpc { both.grpc.clone() } else { both.json.clone() };
        // `details` tells a used-up limit from a throttled address; clients see no difference but in the headers.
        let too_many = |details, headers: &Headers| {
            if is_grpc {
                RATE_LIMITED.grpc_reply(details, headers, &self.rate_limited)
            } else {
                RATE_LIMITED.reply(details, headers.clone())
            }
        };
        match denial {
            Denial::Unauthorized(_) => form(&self.unauthorized),
            Denial::InvalidApiKey(_) => form(&self.invalid_api_key),
            Denial::Forbidden(_) => form(&self.forbidden),
            Denial::Unavailable(_) => form(&self.unavailable),
            Denial::RateLimited(limited) => too_many("flamegate_rate_limited", &limited.headers),
            Denial::Throttled(throttled) => too_many("flamegate_throttled", &throttled.headers),
        }
    }
}

/// What a 401 asks for (RFC 9110 section 15.5.2: at least one challenge). `Basic` makes browsers ask a person for name and password, so it
/// is said only where that is a place of a key. For a header, a cookie or a parameter there is no registered scheme.
fn challenges(realm: &str, error: &str, sources: Option<&KeySources>) -> Vec<String> {
    let bearer = || format!("Bearer realm=\"{realm}\"{error}");
    let Some(sources) = sources else { return vec![bearer()] };
    let of = |source: &Source| match source {
        Source::Bearer => Some(bearer()),
        Source::BasicUsername => Some(format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")),
        _ => None,
    };
    let mut challenges: Vec<String> = sources.all().iter().filter_map(of).collect();
    if challenges.is_empty() {
        challenges.push(format!("ApiKey realm=\"{realm}\""));
    }
    challenges
}

/// The same headers for an answer to a gRPC client: Envoy gives it the content type.
fn for_grpc(headers: &Headers, status_details: &str) -> Headers {
    let mut all = headers.pairs();
    all.retain(|(name, _)| *name != "content-type");
    all.push((grpc::STATUS_DETAILS, status_details));
    Headers::new(all.iter().copied())
}

#[cfg(test)]
mod tests;
