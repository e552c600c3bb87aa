//! One error type for the domain and its one translation to HTTP.
//!
//! Clients get a stable code and a text that is ours; what went wrong inside is logged once, here, and never sent.

use std::fmt;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Everything that a request can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token, or not one that this endpoint accepts.
    #[error("missing or invalid token")]
    Unauthorized,
    /// The named thing does not exist.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// No such path.
    #[error("no such path")]
    NoRoute,
    /// The path exists, the method does not.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The request could not be read at all.
    #[error("{0}")]
    BadRequest(String),
    /// A body is needed as `application/json`.
    #[error("content-type must be application/json")]
    UnsupportedMediaType,
    /// The body is longer than the endpoint accepts.
    #[error("the body is too large")]
    PayloadTooLarge,
    /// The request was read and breaks these rules.
    #[error("the request is not valid: {0}")]
    Invalid(Problems),
    /// The request contradicts the state of things; `id` names the thing in the way.
    #[error("{message}")]
    Conflict {
        /// What is in the way.
        message: String,
        /// Its id.
        id: Option<String>,
    },
    /// The same request under the same Idempotency-Key has made this key before.
    #[error("this Idempotency-Key has already made a key; its plaintext was shown then and is not kept")]
    AlreadyCreated(String),
    /// Another request under the same Idempotency-Key has made this key before.
    #[error("this Idempotency-Key was used for another request")]
    IdempotencyKeyReused(String),
    /// The token was used too often.
    #[error("too many requests with this token")]
    RateLimited {
        /// When it may be used again.
        retry_after_seconds: u64,
    },
    /// Too much to do right now, or going down.
    #[error("{0}")]
    Unavailable(&'static str),
    /// Our fault. The text is for the log.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Rules that a request breaks, each with the path of the field.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(Vec<(String, String)>);

/// The body of every answer that is not a success.
#[derive(Serialize, ToSchema)]
pub struct ErrorEnvelope {
    /// Always false.
    success: bool,
    /// What went wrong.
    error: ErrorBody,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    /// Stable, for programs.
    #[schema(example = "NOT_FOUND")]
    code: &'static str,
    /// For people.
    #[schema(example = "no such API key")]
    message: String,
    /// `problems` (a list of `path` and `message`) for VALIDATION_FAILED; `id` of the thing in the way for conflicts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
}

impl Error {
    /// Wraps what went wrong inside.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    /// One broken rule.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(Problems(vec![(path.into(), message.into())]))
    }

    /// The stable code, part of the API.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized => "UNAUTHORIZED",
            Self::NotFound(_) | Self::NoRoute => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::BadRequest(_) => "BAD_REQUEST",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::Invalid(_) => "VALIDATION_FAILED",
            Self::Conflict { .. } => "CONFLICT",
            Self::AlreadyCreated(_) => "ALREADY_CREATED",
            Self::IdempotencyKeyReused(_) => "IDEMPOTENCY_KEY_REUSED",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Unavailable(_) => "UNAVAILABLE",
            Self::Internal(_) => "INTERNAL",
        }
    }

    /// The HTTP status of the answer.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict { .. } | Self::AlreadyCreated(_) | Self::IdempotencyKeyReused(_) => {
                StatusCode::CONFLICT
            }
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What a program may want to know beyond the code: the problems, or the id in the way.
    fn details(&self) -> Option<Value> {
        match self {
            Self::Invalid(problems) => Some(json!({ "problems": problems.to_json() })),
            Self::Conflict { id: Some(id), .. }
            | Self::AlreadyCreated(id)
            | Self::IdempotencyKeyReused(id) => Some(json!({ "id": id })),
            _ => None,
        }
    }
}

impl Problems {
    /// Notes a broken rule.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push((path.into(), message.into()));
    }

    /// Takes over the problems of a part, which lies at `prefix`.
    pub fn extend_at(&mut self, prefix: &str, part: Self) {
        self.0.extend(part.0.into_iter().map(|(path, message)| (format!("{prefix}{path}"), message)));
    }

    /// What is wrong with the field at `path`, or with a part of it.
    pub fn of(&self, path: &str) -> Option<&str> {
        let covers = |found: &str| {
            found.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.0.iter().find(|(found, _)| covers(found)).map(|(_, message)| message.as_str())
    }

    /// True when no rule is broken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Ok` when there are none.
    pub fn check(self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(Error::Invalid(self)) }
    }

    fn to_json(&self) -> Value {
        self.0.iter().map(|(path, message)| json!({ "path": path, "message": message })).collect()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (path, message)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{path}: {message}")?;
        }
        Ok(())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Self::Internal(cause) = &self {
            tracing::error!(error = %cause, "request failed");
        }
        let error = ErrorBody { code: self.code(), message: self.to_string(), details: self.details() };
        let mut response = (self.status(), Json(ErrorEnvelope { success: false, error })).into_response();
        match self {
            Self::Unauthorized => {
                let challenge = HeaderValue::from_static("Bearer realm=\"flamegate-control\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            Self::RateLimited { retry_after_seconds } => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds));
            }
            Self::Unavailable(_) => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
