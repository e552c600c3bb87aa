//! The pages over a real server, as a browser without scripts sees them: one file per subject.

#[path = "../common/mod.rs"]
mod common;

mod audit;
mod browser;
mod cookies;
mod gateways;
mod headers;
mod key_page;
mod keys;
mod list;
mod members;
mod overview;
mod passwords;
mod roles;
mod search;
mod secrets;
mod sign_in;
mod tenants;
mod twice;
mod usage;
mod way_back;
