//! The control plane of Flamegate: it owns the API keys and pushes them to the gateways.
//!
//! Five floors, each knowing only those below it:
//!
//! - [`cli`]: the program. Everything but `serve` is a client of the REST API.
//! - [`http`]: the only place that knows HTTP: REST under `/v1` for people and scripts, `/sync/v1` for gateways, the pages, health and
//!   metrics, and who is admitted how often.
//! - [`service`]: what can be done: keys, workspaces, users, the audit log, gateways and receipts, the sync, housekeeping.
//! - [`store`]: everything durable, as named functions; the only place with SQL. Every write goes through [`store::Store::write`],
//!   and what the gateways see of a key changes only together with a new revision.
//! - [`domain`]: types and rules, without a clock, a database or a network.
//!
//! [`config`] stands beside the store. A key's plaintext exists in the answer to its creation ([`domain::keys::secret`]) and,
//! for the form that made it, for a minute in memory ([`service::keys::kept`]).

pub mod books;
pub mod cli;
pub mod config;
mod contract;
pub mod domain;
pub mod http;
pub mod service;
pub mod store;
