//! One request's way from bytes to an answer, without memory and without the proxy: what it says ([`request`], [`credential`], [`sources`]), whether
//! it needs a key ([`bypass`]), whose key it is ([`auth`], [`known_key`]), and what is told to whom ([`denial`], [`reply`],
//! [`metrics`]). [`crate::worker`] remembers, and puts the steps in order.

pub mod auth;
pub mod bypass;
pub mod credential;
pub mod denial;
pub mod fingerprint;
pub mod headers;
pub mod known_key;
pub mod metrics;
pub mod published;
pub mod rate_limit;
pub mod reply;
pub mod request;
pub mod restriction;
pub mod route_settings;
pub mod sources;
pub mod throttle;
