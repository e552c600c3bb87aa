//! The bootstrap singleton keeps the key table.

mod sync;

use flamegate_e2e::Plugin;

#[test]
fn create_and_revoke() {
    sync::create_and_revoke(Plugin::singleton);
}

#[test]
fn rotate_with_grace() {
    sync::rotate_with_grace(Plugin::singleton);
}

#[test]
fn expiry() {
    sync::expiry(Plugin::singleton);
}

#[test]
fn control_plane_restarts() {
    sync::control_plane_restarts(Plugin::singleton);
}

#[test]
fn another_database() {
    sync::another_database(Plugin::singleton);
}

#[test]
fn envoy_first() {
    sync::envoy_first(Plugin::singleton);
}

#[test]
fn one_environment() {
    sync::one_environment(Plugin::singleton);
}

#[test]
fn many_pages() {
    sync::many_pages(Plugin::singleton);
}

#[test]
fn open_streams_end() {
    sync::open_streams_end(Plugin::singleton);
}

#[test]
fn receipt_lists_who_is_silent() {
    sync::receipt_lists_who_is_silent(Plugin::singleton);
}
