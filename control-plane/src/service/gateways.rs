//! Who enforces what: the gateways that poll, and the receipts made of what they acknowledge.

mod entry;
mod exchange;
mod hello;
mod inner;
mod memory;
mod merged;
mod poll;
mod receipt;
mod registry;
mod service;
mod shared;

pub use self::exchange::Exchange;
pub use self::hello::Hello;
pub use self::poll::Poll;
pub use self::service::Gateways;

#[cfg(test)]
mod replicas_tests;
#[cfg(test)]
mod tests;
