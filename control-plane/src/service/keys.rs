//! API keys as their owners see them: create, look at, list, change, revoke, rotate and import.

mod change;
mod import;
pub mod kept;
mod named;
mod once;
mod plan;
mod service;
mod shadow;

pub use self::change::{Revoked, Rotated};
pub use self::service::{Created, Keys, Pasted, Swept, soon};
