//! Where workers leave their counts for the sync: some values in shared data, each of which any worker may add to and the sync takes
//! out. A cell belongs to nobody, so whatever becomes of a worker, what it has handed over is there.
//!
//! Only the sync makes them: a missing value is inserted whatever version is named, so of two workers that make one, one would lose its
//! counts. Where there is none yet, a worker keeps what it has.
//!
//! Memory: entries are put behind each other, and added up when there are twice as many as last time; at most [`MAX_ROWS`] keys and
//! minutes are left then.

use super::bag::{Bag, add_up};
use crate::bytes::Reader;
use crate::host::{Expect, HostError, SharedData, Write};

/// Number of cells: workers, beyond so many, share them.
pub const CELLS: u64 = 16;
/// The cell of what has passed in shadow, behind the others: a filter of before takes nothing from there.
pub const SHADOW_CELL: u64 = CELLS;
/// Most keys and minutes in a cell that was added up.
pub const MAX_ROWS: usize = 4_096;
/// A cell that is smaller is not added up, in bytes: what some hundred keys leave within the time between two posts.
const SMALL: usize = 262_144;
const ATTEMPTS: u32 = 8;
const VERSION: u8 = 1;

/// Shared-data key of a cell.
pub fn cell_key(cell: u64) -> String {
    format!("flamegate/usage/{cell}")
}

/// Makes the cells that are not there.
pub fn make_cells<H: SharedData>(host: &H) -> Result<(), HostError> {
    for cell in 0..=SHADOW_CELL {
        let key = cell_key(cell);
        if host.read(&key)?.is_none() {
            host.write(&key, b"", Expect::Absent)?;
        }
    }
    Ok(())
}

/// Adds entries to the cell of the worker with this name. `Conflict` where there is no cell, or others wrote all the time: nothing was
/// added.
pub fn append<H: SharedData>(host: &H, worker: u64, entries: &[u8]) -> Result<Write, HostError> {
    append_to(host, worker.checked_rem(CELLS).unwrap_or(0), entries)
}

/// The same to a cell by its number.
pub fn append_to<H: SharedData>(host: &H, cell: u64, entries: &[u8]) -> Result<Write, HostError> {
    let key = cell_key(cell);
    for _ in 0..ATTEMPTS {
        let Some(stored) = host.read(&key)? else { return Ok(Write::Conflict) };
        let next = joined(&stored.bytes, entries);
        if host.write(&key, &next, Expect::Version(stored.cas))? == Write::Stored {
            return Ok(Write::Stored);
        }
    }
    Ok(Write::Conflict)
}

/// Takes all that is in a cell. What cannot be taken now stays there.
pub fn take<H: SharedData>(host: &H, cell: u64, bag: &mut Bag) -> Result<(), HostError> {
    let key = cell_key(cell);
    for _ in 0..ATTEMPTS {
        let Some(stored) = host.read(&key)? else { return Ok(()) };
        if stored.bytes.is_empty() {
            return Ok(());
        }
        if host.write(&key, b"", Expect::Version(stored.cas))? == Write::Stored {
            if let Some((_, entries)) = parts(&stored.bytes) {
                bag.add(entries);
            }
            return Ok(());
        }
    }
    Ok(())
}

/// How long the entries were when they were added up last, and the entries; `None` for bytes of nobody we know, which say nothing.
fn parts(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != VERSION {
        return None;
    }
    let added_up = usize::try_from(reader.u32()?).ok()?;
    Some((added_up, bytes.get(HEADER..)?))
}

/// Bytes before the entries.
const HEADER: usize = 5;

fn joined(bytes: &[u8], entries: &[u8]) -> Vec<u8> {
    let (added_up, old) = parts(bytes).unwrap_or((0, &[]));
    let len = old.len().saturating_add(entries.len());
    if len <= added_up.saturating_mul(2).max(SMALL) {
        return value(added_up, &[old, entries]);
    }
    let all = add_up([old, entries], MAX_ROWS).unwrap_or_else(|| {
        let mut bag = Bag::default();
        bag.add(old);
        bag.add(entries);
        bag.shrink(MAX_ROWS);
        let mut all = Vec::new();
        bag.encode(&mut all);
        bag.encode_shadow(&mut all);
        all
    });
    value(all.len(), &[&all])
}

fn value(added_up: usize, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(&u32::try_from(added_up).unwrap_or(u32::MAX).to_le_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}
