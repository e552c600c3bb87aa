//! The named functions in SQL, written once for every engine: a connection that runs statements ([`statement::Sql`]) has all of them.
//! Where engines differ in their words, [`statement::Dialect`] says how.

pub(super) mod audit;
pub(super) mod changes;
pub(super) mod columns;
pub(super) mod copying;
pub(super) mod credentials;
pub(super) mod errors;
pub(super) mod folded;
pub(super) mod gateways;
pub(super) mod idempotency;
pub(super) mod keys;
pub(super) mod migrations;
pub(super) mod replicas;
pub(super) mod sessions;
pub(super) mod statement;
pub(super) mod tags;
pub(super) mod throttles;
pub(super) mod upkeep;
pub(super) mod usage;
pub(super) mod users;
pub(super) mod values;
pub(super) mod workspaces;
