//! Lends the tokens of fleet limits to gateways.

mod holders;
mod owners;
mod service;

pub use self::service::{FleetLimit, FleetState, Lending};
