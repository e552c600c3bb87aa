//! What the workers do with the table, as their roster says.

use crate::contract::protocol::Protocol;
use crate::host::{Monotonic, Now, SharedData};
use crate::table::status::Status;
use crate::worker::roster;

/// True when every live worker enforces the table as `status` says it is; false when that cannot be told.
pub fn is_enforced<H: SharedData>(host: &H, status: &Status, now: Now) -> bool {
    let position = (status.incarnation, status.sequence);
    roster::read(host).is_ok_and(|roster| roster::all_enforce(&roster, position, now.monotonic))
}

/// How many live workers decide requests by the table; `None` when that cannot be told.
pub fn served_by<H: SharedData>(host: &H, now: Monotonic) -> Option<u32> {
    let incarnation = Status::read(host).ok()?.map(|status| status.incarnation);
    let roster = roster::read(host).ok()?;
    Some(incarnation.map_or(0, |incarnation| roster::count_with_table(&roster, incarnation, now)))
}

/// The protocol that every live worker understands; the older one when that cannot be told.
pub fn understood_by<H: SharedData>(host: &H, now: Monotonic) -> Protocol {
    roster::read(host).map_or(Protocol::One, |roster| roster::understood(&roster, now))
}
