//! Where everything durable lives. SQL stands only below this module; the rest of the program calls named functions.
//!
//! The discipline that the sync protocol rests on:
//!
//! - One write at a time ([`Store::write`]), in `BEGIN IMMEDIATE`, flushed to disk before it is acknowledged
//!   (`synchronous=FULL`): a revocation that was answered survives a crash.
//! - Every change of what gateways see of a key takes the next revision in the same transaction. So revisions become
//!   visible in order, and a reader that sees R has seen everything up to R.
//! - After the commit the new revision is published ([`Store::watch`]); held polls wake up by that.

pub mod sqlite;

pub use sqlite::changes::{Change, Page};
pub use sqlite::gateways::GatewayRow;
pub use sqlite::keys::{KeyCounts, KeyFilter, NewKeyRow};
pub use sqlite::{Head, OpenError, Store, Tx, Work, Written};
