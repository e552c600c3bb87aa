//! Where everything durable lives. SQL stands only below this module; the rest of the program calls named functions.
//!
//! The discipline that the sync protocol rests on, whatever the engine:
//!
//! - One write at a time ([`Store::write`]), durable before it is acknowledged.
//! - Every change of what gateways see of a key takes the next revision in the same transaction. So revisions become
//!   visible in order, and a reader that sees R has seen everything up to R.
//! - The same transaction gives these revisions a random tag: which history they belong to.
//! - After the commit the new revision is published ([`Store::watch`]); held polls wake up by that.
//!
//! `tests/store/` holds every engine to it.

mod copying;
mod handle;
pub mod maintenance;
mod postgres;
pub mod seam;
mod sql;
pub mod sqlite;

pub use self::handle::{Reader, Store, Written};
pub use self::seam::open::OpenError;
pub use self::seam::purpose::Purpose;
pub use self::seam::tx::{Tx, View, Work};
