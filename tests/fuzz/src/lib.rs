//! What the fuzzer tries: each target is a function of any bytes that panics when a property does not hold. The
//! properties compare with something that was written independently, or say what must never be.
//!
//! `make fuzz` runs them under libFuzzer (`libfuzzer/`); `tests/corpus.rs` runs every file of `corpus/` through them with
//! the ordinary tests, so what was found once stays found.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a target says that something is wrong"
)]

mod authorization;
mod bypass;
mod codecs;
mod configuration;
mod headers;
mod input;
mod limiter;
mod page;
mod restriction;
mod route_settings;
mod throttle;

pub use authorization::authorization;
pub use bypass::bypass;
pub use codecs::codecs;
pub use configuration::configuration;
pub use headers::headers;
pub use limiter::limiter;
pub use page::page;
pub use restriction::restriction;
pub use route_settings::route_settings_read;
pub use throttle::throttle;

/// A target.
pub type Target = fn(&[u8]);

/// Every target with its name, which is also its folder in the corpus.
pub const TARGETS: [(&str, Target); 10] = [
    ("authorization", authorization),
    ("bypass", bypass),
    ("codecs", codecs),
    ("configuration", configuration),
    ("headers", headers),
    ("limiter", limiter),
    ("page", page),
    ("restriction", restriction),
    ("route_settings", route_settings_read),
    ("throttle", throttle),
];
