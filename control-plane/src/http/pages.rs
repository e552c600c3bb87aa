//! The pages for people: rendered here, no script needed but for copying a key.
//!
//! A request passes, from the outside in: security headers; the check of `Sec-Fetch-Site` and `Origin` for whatever changes
//! something; the form is received; a bound in number; the session. Then [`session::SignedIn`] asks for a user, [`place::Place`] for
//! their place in the workspace of the path, and [`form::Posted`] for the session's form token. What changes a workspace counts
//! against the person's limit ([`place::PostedIn`]). Bearer tokens mean nothing here.

mod account;
mod assets;
mod astray;
mod audit;
mod audit_details;
mod chrome;
mod code;
mod code_form;
mod colours;
mod cookies;
mod device;
mod error;
mod fields;
mod form;
mod frame;
mod front;
mod gateways;
mod headers;
mod join;
mod keys;
mod limits;
mod limits_form;
mod members;
mod mistakes;
mod oidc;
mod operator;
mod place;
mod plan_words;
mod plans;
mod qr;
mod query;
mod receipt;
mod restrict_form;
mod second_factor;
mod session;
mod session_store;
mod settings;
mod shadow;
mod sign_in;
mod tokens;
mod too_many;
mod usage;
mod view;
mod way_back;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tower_http::csrf::{ConfigError, CsrfLayer, ProtectionError};

use self::error::PageError;
use super::app::App;
use super::error::Failure;

/// All pages.
pub(super) fn router<S>(app: &App) -> Result<Router<S>, ConfigError> {
    let workspace = Router::new()
        .route("/", get(front::show))
        .route("/settings", get(settings::show).post(settings::change))
        .route("/settings/plan", post(settings::change_plan))
        .route("/settings/members", get(members::show).post(members::invite))
        .route("/settings/members/withdraw", post(members::withdraw))
        .route("/settings/members/{id}", get(members::show_one))
        .route("/settings/members/{id}/role", post(members::change_role))
        .route("/settings/members/{id}/remove", post(members::remove))
        .route("/settings/api-keys", get(keys::list).post(keys::create))
        .route("/settings/api-keys/new", get(keys::new))
        .route("/settings/api-keys/copied", post(keys::copied))
        .route("/settings/api-keys/search", post(keys::search))
        .route("/settings/api-keys/selected", get(keys::ask_selected).post(keys::change_selected))
        .route("/settings/api-keys/{id}", get(keys::show))
        .route("/settings/api-keys/{id}/edit", get(keys::ask_edit).post(keys::edit))
        .route("/settings/api-keys/{id}/rotate", get(keys::ask_rotate).post(keys::rotate))
        .route("/settings/api-keys/{id}/revoke", get(keys::ask_revoke).post(keys::revoke))
        .route("/settings/api-keys/{id}/shadow", post(keys::set_shadow))
        .route("/gateways", get(gateways::show))
        .route("/audit", get(audit::show))
        .route("/audit/export", get(audit::export));
    let mut same_origin =
        CsrfLayer::new().with_rejection_response(foreign as fn(ProtectionError) -> Response);
    if let Some(origin) = &app.pages.public_origin {
        same_origin = same_origin.add_trusted_origin(origin)?;
    }
    let nowhere = Router::new()
        .fallback(astray::nowhere)
        .layer(middleware::from_fn_with_state(app.clone(), colours::note))
        .layer(middleware::from_fn_with_state(app.clone(), headers::protect));
    Ok(Router::new()
        .route("/", get(front::home))
        .route("/sign-in", get(sign_in::ask).post(sign_in::sign_in))
        .route("/sign-in/code", post(code::enter))
        .route("/sign-in/oidc", get(oidc::begin))
        .route("/sign-in/oidc/back", get(oidc::back))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/account", get(account::show))
        .route("/account/colours", post(account::choose_colours))
        .route("/account/password", post(account::change_password))
        .route("/account/second-factor", get(second_factor::ask).post(second_factor::set))
        .route("/account/second-factor/remove", post(second_factor::remove))
        .route("/account/end-session", post(account::end_session))
        .route("/account/sign-out-everywhere", post(account::sign_out_everywhere))
        .route("/join/{secret}", get(join::ask).post(join::accept))
        .route("/join/{secret}/new", post(join::accept_as_new))
        .route("/operators/tokens", get(tokens::show))
        .route("/operators/plans", get(plans::list).post(plans::create))
        .route("/operators/new-plan", get(plans::new))
        .route("/operators/plans/{name}", get(plans::show))
        .route("/operators/plans/{name}/edit", get(plans::ask_edit).post(plans::edit))
        .route("/operators/plans/{name}/delete", get(plans::ask_delete).post(plans::delete))
        .route("/operators/shadow", get(shadow::show))
        .route("/operators/tokens/{name}/revoke", get(tokens::ask_revoke).post(tokens::revoke))
        .nest("/w/{workspace}", workspace)
        .route("/w/{workspace}/{*rest}", get(nothing_here).post(nothing_here))
        .method_not_allowed_fallback(astray::action)
        .layer(middleware::from_fn(frame::around))
        .layer(session::layer(app))
        .layer(middleware::from_fn_with_state(app.clone(), headers::secure_cookies))
        .layer(middleware::from_fn_with_state(app.clone(), headers::admit))
        .layer(middleware::from_fn_with_state(app.clone(), headers::receive))
        .layer(same_origin)
        .layer(middleware::from_fn_with_state(app.clone(), colours::note))
        .merge(assets::routes())
        .layer(middleware::from_fn_with_state(app.clone(), headers::protect))
        .merge(nowhere)
        .with_state(app.clone()))
}

/// Another site's page sent the request.
fn foreign(_: ProtectionError) -> Response {
    PageError::Forgery.into_response()
}

async fn nothing_here(_: place::Place) -> PageError {
    PageError::Failed(Failure::NoRoute)
}
