//! One worker: a root context in a VM on one thread, so nothing of its own is shared. [`memory`] has what it knows, [`decide`] a
//! request's way through it; the others are parts of the memory.

pub mod admission;
pub mod cache;
pub mod decide;
pub mod denied;
pub mod edits;
pub mod hashers;
pub mod held;
pub mod in_shadow;
pub mod internal_redirect;
pub mod known_settings;
pub mod log_limit;
pub mod memory;
mod plans;
mod readiness;
pub mod roots;
pub mod roster;
pub mod route_settings;
pub mod stale;
pub mod streams;
mod telling;
mod tokens;
pub mod unknown_keys;
pub mod usage;
pub mod waiting;

pub use self::memory::Worker;
