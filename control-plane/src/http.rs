//! HTTP: routes, and what every request goes through on its way.
//!
//! From the outside in: the request is observed (counted, timed, given an id) and bounded in time; its token is checked,
//! before its body is read; for `/v1` it is then bounded in number. Errors of the framework (no such path, wrong method) come
//! in the same shape as ours.

pub mod audit;
pub mod auth;
pub mod caller;
pub mod envelope;
pub mod extract;
pub mod gateways;
pub mod health;
pub mod keys;
pub mod layers;
pub mod openapi;
mod pages;
pub mod sync;
pub mod users;
pub mod workspaces;

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::error::Error;

/// Longest body of a request, in bytes; a batch import may be longer.
pub const MAX_BODY: usize = 64 * 1024;

/// All routes.
pub fn router(app: App) -> Result<Router, Error> {
    let pages = pages::router(&app).map_err(Error::internal)?;
    let admin = OpenApiRouter::new()
        .merge(keys::routes())
        .merge(workspaces::routes())
        .merge(gateways::routes())
        .merge(users::routes())
        .merge(audit::routes())
        .layer(middleware::from_fn_with_state(app.clone(), layers::admit))
        .layer(middleware::from_fn_with_state(app.clone(), auth::require_admin));
    let sync = OpenApiRouter::new()
        .merge(sync::routes())
        .layer(middleware::from_fn_with_state(app.clone(), layers::admit_poll))
        .layer(middleware::from_fn_with_state(app.clone(), auth::require_sync));
    let (router, document) = OpenApiRouter::with_openapi(openapi::Document::openapi())
        .merge(admin)
        .merge(sync)
        .merge(health::routes())
        .split_for_parts();
    let router = router
        .merge(openapi::route(document))
        .merge(pages)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .fallback(async || Error::NoRoute)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(layers::bound_in_time))
        .layer(middleware::from_fn_with_state(app.clone(), layers::observe))
        .with_state(app);
    Ok(router)
}
