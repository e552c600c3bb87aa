//! One root context of the filter itself keeps the key table: no bootstrap extension.

mod sync;

use flamegate_e2e::Plugin;

#[test]
fn create_and_revoke() {
    sync::create_and_revoke(Plugin::elected);
}

#[test]
fn rotate_with_grace() {
    sync::rotate_with_grace(Plugin::elected);
}

#[test]
fn expiry() {
    sync::expiry(Plugin::elected);
}

#[test]
fn control_plane_restarts() {
    sync::control_plane_restarts(Plugin::elected);
}

#[test]
fn another_database() {
    sync::another_database(Plugin::elected);
}

#[test]
fn envoy_first() {
    sync::envoy_first(Plugin::elected);
}

#[test]
fn one_environment() {
    sync::one_environment(Plugin::elected);
}

#[test]
fn many_pages() {
    sync::many_pages(Plugin::elected);
}

#[test]
fn open_streams_end() {
    sync::open_streams_end(Plugin::elected);
}

#[test]
fn receipt_lists_who_is_silent() {
    sync::receipt_lists_who_is_silent(Plugin::elected);
}
