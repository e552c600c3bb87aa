//! What broke in other gateways and key systems, as their users reported it, tried here: a module for each kind.

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod bodies;
mod clock;
mod idle;
mod import;
mod names;
mod output;
mod rotation;
mod times;
mod urls;
