//! The pages over a real server, as a browser without scripts sees them: one file per subject.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod audit;
mod browser;
mod colours;
mod cookies;
mod devices;
mod errors;
mod gateways;
mod headers;
mod key_page;
mod keys;
mod list;
mod members;
mod overview;
mod passwords;
mod plans;
mod provider;
mod roles;
mod search;
mod second_factor;
mod secrets;
mod sessions;
mod shadow;
mod sign_in;
mod slowed;
mod tenants;
mod tokens;
mod twice;
mod usage;
mod way_back;
