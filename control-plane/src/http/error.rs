//! The one table from what a request can fail with to status and code, and the body of the answer.
//!
//! Clients get a stable code and a text that is ours; what went wrong inside is logged once, here, and never sent.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::domain::error::Error;

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

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
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
    /// It was read, and this came of it.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Failure {
    /// The HTTP status of the answer.
    pub const fn status(&self) -> StatusCode {
        self.answer().0
    }

    /// Status, and the stable code that is part of the API.
    const fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Failed(Error::Forbidden(_)) => (StatusCode::FORBIDDEN, "FORBIDDEN"),
            Self::NoRoute | Self::Failed(Error::NotFound(_)) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
            Self::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
            Self::Failed(Error::Unauthorized) => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::Failed(Error::NoCertificate) => (StatusCode::FORBIDDEN, "CERTIFICATE_REQUIRED"),
            Self::Failed(Error::Invalid(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED"),
            Self::Failed(Error::Conflict { .. }) => (StatusCode::CONFLICT, "CONFLICT"),
            Self::Failed(Error::AlreadyCreated(_)) => (StatusCode::CONFLICT, "ALREADY_CREATED"),
            Self::Failed(Error::IdempotencyKeyReused(_)) => (StatusCode::CONFLICT, "IDEMPOTENCY_KEY_REUSED"),
            Self::Failed(Error::RateLimited { .. }) => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"),
            Self::Failed(Error::Unavailable(_)) => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
            Self::Failed(Error::Internal(_)) => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
        }
    }

    /// What a program may want to know beyond the code: the problems, or the id in the way.
    fn details(&self) -> Option<Value> {
        match self {
            Self::Failed(Error::Invalid(problems)) => Some(json!({ "problems": problems.to_json() })),
            Self::Failed(
                Error::Conflict { id: Some(id), .. }
                | Error::AlreadyCreated(id)
                | Error::IdempotencyKeyReused(id),
            ) => Some(json!({ "id": id })),
            _ => None,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Self::Failed(Error::Internal(cause)) = &self {
            tracing::error!(error = %cause, "request failed");
        }
        let (status, code) = self.answer();
        let error = ErrorBody { code, message: self.to_string(), details: self.details() };
        let mut response = (status, Json(ErrorEnvelope { success: false, error })).into_response();
        let header = match self {
            Self::Failed(Error::Unauthorized) => {
                (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"flamegate-control\""))
            }
            Self::Failed(Error::RateLimited { retry_after_seconds }) => {
                (header::RETRY_AFTER, HeaderValue::from(retry_after_seconds))
            }
            Self::Failed(Error::Unavailable(_)) => (header::RETRY_AFTER, HeaderValue::from_static("1")),
            _ => return response,
        };
        response.headers_mut().insert(header.0, header.1);
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Failure::from(self).into_response()
    }
}
