//! Flamegate: API-key authentication and rate limiting inside Envoy.
//!
//! The floors, from the ground up; each knows only those before it (`tests/floors`, docs/ARCHITECTURE.md):
//! [`bytes`], [`contract`], [`host`], [`limit`] and [`table`], [`decision`], [`config`], [`worker`], [`sync`], `wasm`.
//!
//! The request path, in one screen:
//!
//! ```text
//! wasm::stream ─ header bytes ─▶ worker::decide
//!                                  │ decision::request, bypass ────────────────▶ Pass::Bypass
//!                                  │ decision::credential ─ key ─ SHA-256
//!                                  │ worker::memory (static keys, cache), table::find ─ known_key
//!                                  │ decision::auth: valid now? ─ Permit ─▶ limit: every limit admits ─▶ Pass::Permit
//!                                  └ Denial ─▶ decision::reply: the one table ─▶ Answer
//! ```
//!
//! With a `failure_throttle`, what follows the first look at a value (hash, look-up) is done only for client addresses that
//! have not failed too often (`decision::throttle`). With `internal_redirects`, what the proxy itself sends through the filters again is
//! known by a note of its first pass (`worker::internal_redirect`).
//!
//! Everything but `wasm` is pure: it sees the proxy through the traits of [`host`] and is tested natively. `wasm` is the
//! only module that names the host, and the only one with `unsafe`.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod bytes;
pub mod config;
pub mod contract;
pub mod decision;
pub mod host;
pub mod limit;
pub mod sync;
pub mod table;
#[cfg(target_arch = "wasm32")]
mod wasm;
pub mod worker;
