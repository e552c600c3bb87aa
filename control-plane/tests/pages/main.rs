//! The pages over a real server, as a browser without scripts sees them: one file per subject.

#[path = "../common/mod.rs"]
mod common;

mod audit;
mod browser;
mod headers;
mod keys;
mod roles;
mod secrets;
mod sign_in;
