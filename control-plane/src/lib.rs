//! The control plane of Flamegate: it owns the API keys and pushes them to the gateways.
//!
//! Three layers, each knowing only the one below:
//!
//! - [`http`]: REST under `/v1` for people and scripts, `/sync/v1` for gateways, health and metrics. [`cli`] is a client
//!   of the same REST API.
//! - The domain: [`keys`], [`workspaces`], [`sync`] (pages for gateways) and [`gateways`] (who enforces which revision).
//! - [`store`]: the only place with SQL. Every write goes through [`store::Store::write`], one at a time, and what the
//!   gateways see of a key changes only together with a new revision.
//!
//! A key's plaintext exists in the answer to its creation and nowhere else ([`keys::secret`]).

pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod gateways;
pub mod housekeeping;
pub mod http;
pub mod keys;
pub mod limits;
pub mod metrics;
pub mod random;
pub mod server;
pub mod store;
pub mod sync;
pub mod tokens;
pub mod users;
pub mod workspaces;
