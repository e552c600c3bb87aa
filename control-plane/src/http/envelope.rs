//! The shape of answers that succeed. Errors have theirs in [`crate::domain::error`].

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// `{"success":true,"data":…}`.
#[derive(Serialize, ToSchema)]
pub struct Success<T> {
    success: bool,
    data: T,
}

/// `{"success":true,"data":[…],"pagination":{"next_cursor":…}}`.
#[derive(Serialize, ToSchema)]
pub struct Listing<T> {
    success: bool,
    data: Vec<T>,
    pagination: Pagination,
}

/// Where a list goes on.
#[derive(Serialize, ToSchema)]
pub struct Pagination {
    /// Value of `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
}

/// An answer with a status of its own, such as 201.
pub struct Created<T>(pub T);

impl<T> Success<T> {
    /// Wraps an answer.
    pub const fn new(data: T) -> Self {
        Self { success: true, data }
    }
}

impl<T> Listing<T> {
    /// Wraps a part of a list; `next` is the row behind which the next one begins.
    pub fn new(data: Vec<T>, next: Option<i64>) -> Self {
        let next_cursor = next.map(|row| row.to_string());
        Self { success: true, data, pagination: Pagination { next_cursor } }
    }
}

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

impl<T: Serialize> IntoResponse for Listing<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Success::new(self.0)).into_response()
    }
}
