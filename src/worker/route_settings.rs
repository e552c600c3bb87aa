//! What a request costs where it goes, and whether its key may be used there, as the route's metadata say
//! (docs/adr/0056-route-settings.md).

use super::memory::Worker;
use crate::contract::usage::UsageOutcome;
use crate::decision::auth::Permit;
use crate::decision::denial::{Denial, InvalidApiKey, Unavailable};
use crate::decision::route_settings::{RouteSettings, Unreadable};
use crate::host::{Clock, Peer};

/// Tokens that a request of this permit's key costs on its route, or why the key may not be used there. To be asked once a key was
/// accepted, so that nobody else makes the host look. The route is the one that the host found before the filter changed anything.
pub fn cost<H: Clock + Peer>(worker: &mut Worker, host: &H, permit: &Permit) -> Result<u32, Denial> {
    let known = &mut worker.route_settings;
    let read = host.route_settings(|bytes| match bytes {
        None => Some(RouteSettings::default()),
        Some(bytes) => known.of(bytes, || host.monotonic()),
    });
    let settings = read.unwrap_or_else(|_| {
        // Envoy cannot hand over what is null.
        known.report(&Unreadable::of_no_kind(), || host.monotonic());
        None
    });
    let settings = settings.ok_or(Denial::Unavailable(Unavailable::RouteSettings))?;
    if !settings.admits(permit.key().record().environment) {
        worker.usage.count(permit.key(), UsageOutcome::Environment);
        return Err(Denial::InvalidApiKey(InvalidApiKey::Environment));
    }
    Ok(settings.cost)
}

#[cfg(test)]
mod tests;
