//! Flamegate: API-key authentication and rate limiting inside Envoy.
//!
//! The request path, in one screen:
//!
//! ```text
//! header map ─ request ─▶ bypass? ──▶ api_key ─ SHA-256 ─▶ worker (static keys, cache, shared table)
//!                                                              │ known_key
//!                              auth: valid now? ◀──────────────┘
//!                                │ Permit                │ Denial
//!                              limit: every limit admits │
//!                                ▼                       ▼
//!                     filter::Outcome::Pass      reply: the one table
//! ```
//!
//! With a `failure_throttle`, what follows the first look at a value (hash, look-up) is done only for client addresses that
//! have not failed too often (`throttle`).
//!
//! Everything but `wasm` is pure: it sees the proxy through the traits of [`host`] and is tested natively. `wasm` is the
//! only module that names the host, and the only one with `unsafe`.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod api_key;
pub mod auth;
pub mod bypass;
pub mod bytes;
pub mod config;
pub mod filter;
pub mod host;
pub mod known_key;
pub mod limit;
pub mod log_limit;
pub mod metrics;
pub mod record;
pub mod reply;
pub mod request;
pub mod roots;
pub mod sync;
pub mod table;
pub mod throttle;
#[cfg(target_arch = "wasm32")]
mod wasm;
pub mod worker;
