//! Reading requests: bodies and queries, with every refusal in our own shape. A body's text is never logged or echoed.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time;

use crate::error::Error;
use crate::keys::IdempotencyKey;

/// A JSON body. An empty one reads as `{}`.
pub struct JsonBody<T>(pub T);

/// The id at the end of the path, or before the verb.
pub struct PathId(pub String);

/// The query string; parameters that are not known are refused when `T` does so.
pub struct Query<T>(pub T);

/// The `Idempotency-Key` header, if there is one.
pub struct Idempotency(pub Option<IdempotencyKey>);

/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let is_json = is_json(request.headers());
        let body = time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state))
            .await
            .map_err(|_| Error::BadRequest("the body did not arrive in time".to_owned()))?
            .map_err(body_error)?;
        if body.is_empty() {
            return parse(b"{}").map(Self);
        }
        if !is_json {
            return Err(Error::UnsupportedMediaType);
        }
        parse(&body).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|_| Error::BadRequest("the path is not UTF-8".to_owned()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| Error::BadRequest(format!("query: {}", last_cause(&rejection))))
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

/// Types that do not fit and fields that are not known are reported with their path; what is not JSON is a bad request.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        json_error(&path, error.inner())
    })?;
    deserializer.end().map_err(|error| json_error("", &error))?;
    Ok(value)
}

fn json_error(path: &str, error: &serde_json::Error) -> Error {
    if error.classify() == Category::Data {
        return Error::invalid(path.trim_start_matches('.'), without_values(&error.to_string()));
    }
    Error::BadRequest(format!("the body is not JSON (line {} column {})", error.line(), error.column()))
}

/// serde's text says what was expected, but may begin with the value that came: someone may have sent a key.
fn without_values(text: &str) -> String {
    let text = text.split(" at line ").next().unwrap_or_default();
    match text.rsplit_once("expected ") {
        Some((before, expected)) if before.starts_with("invalid ") => format!("must be {expected}"),
        _ if text.starts_with("unknown field") => "is not a known field".to_owned(),
        _ if text.starts_with("duplicate field") => "is given more than once".to_owned(),
        _ if text.starts_with("missing field") => text.to_owned(),
        _ => "is not valid".to_owned(),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn body_error(rejection: BytesRejection) -> Error {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Error::PayloadTooLarge,
        _ => Error::BadRequest("the body could not be read".to_owned()),
    }
}

fn last_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
