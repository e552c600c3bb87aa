//! Who is at the other side, and where a request goes.

use super::error::HostError;

/// What the host knows of the request at hand beside its headers.
pub trait Peer {
    /// The client's address as the proxy trusts it: behind other proxies the one that its configuration takes from
    /// `x-forwarded-for`. Any text; `None` when the host has none. Costs a host call.
    fn client_address(&self) -> Option<Vec<u8>>;

    /// What was noted when the same request came for the first time and was admitted, if the proxy itself has sent it through
    /// the filters again. Never anything that a client sends. Costs host calls.
    fn noted_before(&self) -> Option<Vec<u8>>;

    /// Calls `read` with what the request's route says in its metadata for this filter, as the host serialises it; with `None` where there
    /// is nothing, or no route. The route is the one that was found before the filters. An error: what it says cannot be handed over.
    /// Costs a host call.
    fn route_settings<T>(&self, read: impl FnOnce(Option<&[u8]>) -> T) -> Result<T, HostError>;
}
