//! Who enforces what: the gateways that poll, and the receipts made of what they acknowledge.

mod entry;
mod hello;
mod memory;
mod receipt;
mod registry;
mod service;

pub use self::hello::Hello;
pub use self::service::{Gateways, Poll};

#[cfg(test)]
mod tests;
