//! Our cookies: their names, and what a request came with.

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

use crate::http::app::App;

/// Cookies do not know ports: a name holds eight digits of the database's own, so that two control planes on one host do not
/// end each other's sessions. Under `__Host-` no other host and no page without TLS can set it.
pub(super) fn name(app: &App, what: &str) -> String {
    let digest = Sha256::digest(app.store.head().epoch);
    let database: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let prefix = if app.pages.is_secure() { "__Host-" } else { "" };
    format!("{prefix}flamegate_{what}_{database}")
}

/// The value of the first cookie of this name.
pub(super) fn value<'h>(name: &str, headers: &'h HeaderMap) -> Option<&'h str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies =
        cookies.flat_map(|value| value.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.find(|(found, _)| *found == name).map(|(_, value)| value)
}
