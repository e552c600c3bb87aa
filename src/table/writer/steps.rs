//! Single writes, and what their failure means.

use crate::host::{Expect, SharedData, Write};
use crate::table::status::{CHANGES_KEY, ChangeRing, STATUS_KEY, Status};

use super::error::ApplyError;

/// Makes every worker forget what it has cached and move to `next`, which replaces exactly the status that was read.
pub fn announce_anew<H: SharedData>(host: &H, next: &Status, expect: Expect) -> Result<(), ApplyError> {
    put(host, CHANGES_KEY, &ChangeRing { floor: next.sequence, entries: Vec::new() }.encode())?;
    replace(host, STATUS_KEY, &next.encode(), expect)
}

/// After two writers met nobody knows what the buckets hold: the table is marked, and a whole one is asked for.
pub fn heal_contention<H: SharedData, T>(host: &H, result: Result<T, ApplyError>) -> Result<T, ApplyError> {
    if matches!(result, Err(ApplyError::Contended)) {
        Status::disown(host).map_err(ApplyError::Host)?;
    }
    result
}

/// Writes a value whose content does not depend on what was there.
pub fn put<H: SharedData>(host: &H, key: &str, bytes: &[u8]) -> Result<(), ApplyError> {
    host.write(key, bytes, Expect::Any).map(drop).map_err(ApplyError::Host)
}

/// Writes a value that was made from what `expect` names.
pub fn replace<H: SharedData>(host: &H, key: &str, bytes: &[u8], expect: Expect) -> Result<(), ApplyError> {
    match host.write(key, bytes, expect) {
        Ok(Write::Stored) => Ok(()),
        Ok(Write::Conflict) => Err(ApplyError::Contended),
        Err(error) => Err(ApplyError::Host(error)),
    }
}
