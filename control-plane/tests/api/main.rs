//! The REST API over a real server: one file per endpoint, in each file modules by status.

#[path = "../common/mod.rs"]
mod common;

mod create_key;
mod explain;
mod framework;
mod gateways;
mod health;
mod import_keys;
mod leases;
mod list_keys;
mod named_tokens;
mod notes;
mod plans;
mod restrictions;
mod revoke_key;
mod rotate_key;
mod scopes;
mod shadow;
mod shadow_report;
mod tokens;
mod update_key;
mod usage;
mod workspaces;
