//! Reading requests: bodies (which `receive.rs` has in memory already) and queries, with every refusal in our own shape. A
//! body's text is never logged or echoed.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::error::Failure;
use super::json::parse;
use crate::domain::error::Error;
use crate::domain::keys::IdempotencyKey;

/// A JSON body. An empty one reads as `{}`.
pub struct JsonBody<T>(pub T);

/// The id at the end of the path, or before the verb.
pub struct PathId(pub String);

/// The query string; parameters that are not known are refused when `T` does so.
pub struct Query<T>(pub T);

/// The `Idempotency-Key` header, if there is one.
pub struct Idempotency(pub Option<IdempotencyKey>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let is_json = is_json(request.headers());
        let body = Bytes::from_request(request, state).await.map_err(body_error)?;
        if body.is_empty() {
            return parse(b"{}").map(Self);
        }
        if !is_json {
            return Err(Failure::UnsupportedMediaType);
        }
        parse(&body).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|_| Failure::BadRequest("the path is not UTF-8".to_owned()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| Failure::BadRequest(format!("query: {}", query_problem(&rejection))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => {
                IdempotencyKey::parse(value.to_str().unwrap_or_default()).map(Some).map(Self)
            }
            (Some(_), Some(_)) => Err(Error::invalid("Idempotency-Key", "is given more than once")),
        }
    }
}

/// A time to wait such as `5s`, `500ms` or `5` (seconds), at most `longest`; nothing is no wait.
pub fn wait(text: Option<&str>, longest: Duration) -> Result<Duration, Error> {
    let Some(text) = text else { return Ok(Duration::ZERO) };
    let duration = match text.strip_suffix("ms") {
        Some(digits) => digits.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s').unwrap_or(text).parse().ok().map(Duration::from_secs),
    };
    duration
        .map(|wait| wait.min(longest))
        .ok_or_else(|| Error::invalid("wait", "must be a time such as 5s, 500ms or 5"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn body_error(rejection: BytesRejection) -> Failure {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::PayloadTooLarge,
        _ => Failure::BadRequest("the body could not be read".to_owned()),
    }
}

/// What is wrong with a query, in words. Values, and names that are not known, are not repeated.
fn query_problem(rejection: &dyn std::error::Error) -> String {
    let mut error = rejection;
    while let Some(deeper) = error.source() {
        error = deeper;
    }
    // The parameter's name stands before the cause.
    let text = error.to_string();
    let (at, cause) = match text.split_once(": ").filter(|(at, _)| !at.contains(' ')) {
        Some((at, cause)) => (format!("{at} "), cause),
        None => (String::new(), text.as_str()),
    };
    if let Some((_, known)) = cause.split_once(", expected ").filter(|_| cause.starts_with("unknown field")) {
        return format!("a parameter is not known; known is {known}");
    }
    if let Some(name) = cause.strip_prefix("duplicate field ") {
        return format!("{name} is given more than once");
    }
    let problem = match cause {
        "number too large to fit in target type" => "is too large",
        text if text.contains("digit") || text.contains("integer") => "must be a whole number",
        text if text.contains("`true` or `false`") => "must be true or false",
        _ => "is not valid",
    };
    format!("{at}{problem}")
}
