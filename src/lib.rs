//! Flamegate: API-key authentication and rate limiting inside Envoy.
pub mod api_key;
pub mod host;
pub mod record;
pub mod sync;
