//! The store as its callers see it, without an engine: named functions by area, reading apart from writing, and what an engine owes.

pub mod audit;
pub mod credentials;
pub mod engine;
pub mod gateways;
pub mod heads;
pub mod idempotency;
pub mod invitations;
pub mod keys;
pub mod lending;
pub mod log;
pub mod maintenance;
pub mod open;
pub mod operators;
pub mod plans;
pub mod purpose;
pub mod receipts;
pub mod replicas;
pub mod second_factors;
pub mod sessions;
pub mod signing;
pub mod throttles;
pub mod tx;
pub mod usage;
pub mod usage_lines;
pub mod users;
pub mod workspaces;
