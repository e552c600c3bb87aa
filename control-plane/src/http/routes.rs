//! HTTP: routes, and what every request goes through on its way.
//!
//! From the outside in: the request is observed (counted, timed, given an id) and bounded in time; its token is checked,
//! then its body is read; for `/v1` it is then bounded in number, so that nobody waits for somebody else's body. Errors of the framework (no such path, wrong method) come
//! in the same shape as ours.

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use super::app::App;
use super::error::Failure;
use super::needs::Needs;
use super::receive::{self, MAX_BODY};
use super::{
    audit, auth, credentials, database, explain, fleet_limits, gateways, health, key_shadow, keys, layers,
    leases, notices, openapi, pages, plans, posts, replicas, shadow, sync, tokens, usage, users, workspaces,
};
use crate::domain::error::Error;

/// All routes; without `/metrics` when that has a listener of its own.
pub fn router(app: App, with_metrics: bool) -> Result<Router, Error> {
    let pages = pages::router(&app.for_pages()).map_err(Error::internal)?;
    let admin = OpenApiRouter::new()
        .merge(keys::routes())
        .merge(key_shadow::routes())
        .merge(plans::routes())
        .merge(shadow::routes())
        .merge(workspaces::routes())
        .merge(gateways::routes())
        .merge(replicas::routes())
        .merge(credentials::routes())
        .merge(users::routes())
        .merge(audit::routes())
        .merge(explain::routes())
        .merge(usage::routes())
        .merge(fleet_limits::routes())
        .merge(notices::routes())
        .merge(database::routes())
        .merge(tokens::routes());
    let needs = (app.clone(), Needs::of(admin.get_openapi()));
    let admin = admin
        .layer(middleware::from_fn_with_state(app.clone(), layers::admit))
        .layer(middleware::from_fn_with_state(app.clone(), receive::receive))
        .layer(middleware::from_fn_with_state(needs, auth::require_operator));
    let sync = OpenApiRouter::new()
        .merge(sync::routes())
        .layer(middleware::from_fn_with_state(app.clone(), layers::admit_poll))
        .layer(middleware::from_fn_with_state(app.clone(), auth::require_sync));
    let posts = OpenApiRouter::new()
        .merge(posts::routes())
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(app.clone(), posts::admit))
        .layer(middleware::from_fn_with_state(app.clone(), auth::require_sync));
    let leases = OpenApiRouter::new()
        .merge(leases::routes())
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(app.clone(), leases::admit))
        .layer(middleware::from_fn_with_state(app.clone(), auth::require_sync));
    let (router, document) = OpenApiRouter::with_openapi(openapi::Document::openapi())
        .merge(admin)
        .merge(sync)
        .merge(posts)
        .merge(leases)
        .merge(health::routes())
        .merge(if with_metrics { metrics(&app) } else { OpenApiRouter::new() })
        .split_for_parts();
    Ok(finish(router.merge(openapi::route(document)?).merge(pages), app))
}

/// What the listener for metrics answers.
pub fn metrics_router(app: App) -> Router {
    let (router, _) = metrics(&app).merge(health::routes()).split_for_parts();
    finish(router.fallback(async || Failure::NoRoute), app)
}

fn metrics(app: &App) -> OpenApiRouter<App> {
    health::metrics_route().layer(middleware::from_fn_with_state(app.clone(), auth::require_metrics))
}

/// What goes around all routes.
fn finish(router: Router<App>, app: App) -> Router {
    router
        .method_not_allowed_fallback(async || Failure::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(layers::bound_in_time))
        .layer(middleware::from_fn_with_state(app.clone(), layers::observe))
        .layer(middleware::from_fn(layers::take_turns))
        .with_state(app)
}
