//! Calls to the control plane, as the host sends them.

use crate::contract::session::Session;

use super::error::HostError;

/// A poll or a post, ready to be sent. It holds the token and the session, so it cannot be printed.
pub struct Call<'a> {
    /// Envoy cluster.
    pub cluster: &'a str,
    /// `:authority`.
    pub authority: &'a str,
    /// `:path`.
    pub path: String,
    /// The sync token.
    pub token: &'a str,
    /// The session of this process.
    pub session: &'a Session,
    /// JSON to be posted; `None` for a GET.
    pub body: Option<&'a [u8]>,
    /// Total time allowed, in milliseconds.
    pub timeout_ms: u32,
}

/// Sends HTTP calls to a cluster of the proxy; the answer comes to the root context that sent it.
pub trait Callouts {
    /// Sends one and returns the number that its answer will carry.
    fn call(&self, call: &Call<'_>) -> Result<u32, HostError>;
}
