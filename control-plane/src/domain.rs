//! Types and rules: what a key, a workspace, a limit, a person may be. Nothing here knows a database, a network or a clock.

pub mod access;
pub(crate) mod addresses;
pub mod audit;
pub(crate) mod audit_text;
pub mod bounds;
pub mod credentials;
pub mod error;
pub mod explain;
pub(crate) mod fold;
pub mod gateways;
pub mod keys;
pub mod limits;
pub mod lists;
pub mod log;
pub(crate) mod names;
pub mod operators;
pub mod random;
pub(crate) mod rate;
pub mod receipts;
pub mod replicas;
pub mod sessions;
pub mod throttles;
pub mod tokens;
pub mod usage;
pub mod users;
pub mod workspaces;
