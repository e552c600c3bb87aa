//! The contract of the product's documentation, row by row and to the byte.

use super::*;
use crate::decision::credential::NoToken;
use crate::decision::denial::{InvalidApiKey, RateLimited, Unavailable};
use crate::decision::rate_limit::refusal_headers;

fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.get(name)
}

fn row(denial: Denial, status: u32, grpc: i32, code: &str, details: &str) -> Reply {
    let replies = Replies::new("flametalk", None);
    check_grpc(&replies.to(&denial, true), &replies.to(&denial, false), code);
    let reply = replies.to(&denial, false);
    assert_eq!((reply.status, reply.grpc_status, reply.details), (status, grpc, details));
    let start = format!("{{\"success\":false,\"error\":{{\"code\":\"{code}\",\"message\":\"");
    assert!(reply.body.starts_with(&start), "{}", reply.body);
    assert!(serde_json::from_str::<serde_json::Value>(reply.body).is_ok());
    assert_eq!(header(&reply, "content-type"), Some("application/json"));
    assert_eq!(header(&reply, "cache-control"), Some("no-store"));
    reply
}

/// For gRPC the message stands alone, and the code is the reason of an `ErrorInfo`.
fn check_grpc(grpc: &Reply, json: &Reply, code: &str) {
    let envelope: serde_json::Value = serde_json::from_str(json.body).unwrap();
    assert_eq!(envelope["error"]["message"], grpc.body);
    assert_eq!(envelope["error"]["code"], code);
    // Envoy would percent-encode anything else (gRPC over HTTP/2, `Status-Message`).
    assert!(grpc.body.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'%'), "{}", grpc.body);
    assert_eq!((grpc.grpc_status, grpc.details), (json.grpc_status, json.details));
    assert_eq!(header(grpc, "content-type"), None);
    for name in ["www-authenticate", "cache-control", "retry-after", "ratelimit", "ratelimit-policy"] {
        assert_eq!(header(grpc, name), header(json, name));
    }
    let expected = grpc::status_details(grpc.grpc_status, grpc.body, code, "flametalk");
    assert_eq!(header(grpc, grpc::STATUS_DETAILS), Some(expected.as_str()));
}

/// To the byte, made by another program.
#[test]
fn grpc_clients_get_the_code_as_a_reason() {
    let reply = Replies::new("flametalk", None).to(&Denial::InvalidApiKey(InvalidApiKey::Unknown), true);
    let expected = "CBASKlRoZSBBUEkga2V5IGlzIGludmFsaWQgb3IgaGFzIGJlZW4gcmV2b2tlZBpICih0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5ycGMuRXJyb3JJbmZvEhwKD0lOVkFMSURfQVBJX0tFWRIJZmxhbWV0YWxr";
    assert_eq!(header(&reply, grpc::STATUS_DETAILS), Some(expected));
}

#[test]
fn unauthorized() {
    let reply =
        row(Denial::Unauthorized(NoToken::Missing), 401, 16, "UNAUTHORIZED", "flamegate_unauthorized");
    assert_eq!(header(&reply, "www-authenticate"), Some("Bearer realm=\"flametalk\""));
    let documented =
        r#"{"success":false,"error":{"code":"UNAUTHORIZED","message":"Invalid or missing API key"}}"#;
    assert_eq!(reply.body, documented);
}

#[test]
fn invalid_api_key_is_one_answer_for_all_reasons() {
    use InvalidApiKey::{Environment, Expired, Malformed, Unknown};
    let replies = [Malformed, Unknown, Expired, Environment]
        .map(|why| row(Denial::InvalidApiKey(why), 401, 16, "INVALID_API_KEY", "flamegate_invalid_api_key"));
    assert!(replies.iter().all(|reply| *reply == replies[0]));
    let challenge = "Bearer realm=\"flametalk\", error=\"invalid_token\"";
    assert_eq!(header(&replies[0], "www-authenticate"), Some(challenge));
}

#[test]
fn forbidden() {
    use crate::decision::restriction::Forbidden::{Address, Method, Path};
    for why in [Method, Path, Address] {
        let reply = row(Denial::Forbidden(why), 403, 7, "FORBIDDEN", "flamegate_forbidden");
        let body = r#"{"success":false,"error":{"code":"FORBIDDEN","message":"This API key may not be used for this request"}}"#;
        assert_eq!(reply.body, body);
    }
}

#[test]
fn rate_limited() {
    let limited = RateLimited {
        scope: crate::contract::record::Scope::Key,
        retry_after_seconds: 7,
        headers: refusal_headers(("default", 0, 7), "\"default\";q=100;w=60"),
    };
    let reply = row(Denial::RateLimited(limited), 429, 8, "RATE_LIMITED", "flamegate_rate_limited");
    assert_eq!(header(&reply, "retry-after"), Some("7"));
    assert_eq!(header(&reply, "ratelimit"), Some("\"default\";r=0;t=7"));
    assert_eq!(header(&reply, "ratelimit-policy"), Some("\"default\";q=100;w=60"));
}

#[test]
fn unavailable() {
    for why in [Unavailable::NotSynced, Unavailable::Stale] {
        let reply = row(Denial::Unavailable(why), 503, 14, "UNAVAILABLE", "flamegate_unavailable");
        assert_eq!(header(&reply, "retry-after"), Some("1"));
    }
}
