//! A gateway without a key table says so, once a minute, and who should fill it. Two parts of Envoy's configuration have to fit
//! together for a table to be there, and where they do not, nothing fails: the sync fills one shared data and the filter reads
//! another.
//!
//! One line a minute for all workers of a process, agreed on in shared data; where that cannot be written, one for each worker.

use crate::bytes::Reader;
use crate::config::{SyncConfig, SyncMode};
use crate::host::{Expect, Monotonic, SharedData, Write};

use super::lease;

/// Shared-data key of when the last line was written.
pub const TOLD_KEY: &str = "flamegate/no-table-told";
/// What a start takes, and is not worth a line, in nanoseconds.
const GRACE_NS: u64 = 5 * NANOS_PER_SECOND;
/// Least time between two lines, in nanoseconds.
const INTERVAL_NS: u64 = 60 * NANOS_PER_SECOND;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
const VERSION: u8 = 1;

/// One worker's view.
#[derive(Debug, Default)]
pub struct NoTable {
    /// Since when it has none.
    since: Option<Monotonic>,
    /// When it wrote its last line, or knew of another worker's.
    told: Option<Monotonic>,
}

impl NoTable {
    /// To be asked about once a second. Gives the line when one is due; `vm_id` is asked for only then.
    pub fn due<H: SharedData>(
        &mut self,
        host: &H,
        has_table: bool,
        sync: &SyncConfig,
        vm_id: impl FnOnce() -> Option<String>,
        now: Monotonic,
    ) -> Option<String> {
        if has_table {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let waited = now.saturating_sub(since);
        if waited < GRACE_NS || self.told.is_some_and(|told| is_recent(told, now)) {
            return None;
        }
        self.told = Some(now);
        if was_told(host, now) {
            return None;
        }
        let filler = filler(sync, lease::is_held(host, now));
        let (mode, vm_id) = (name(sync.mode), shown(vm_id().as_deref()));
        let seconds = waited / NANOS_PER_SECOND;
        Some(format!(
            "no key table for {seconds} s, no key gets through: sync.mode \"{mode}\", {vm_id}; {filler}"
        ))
    }
}

/// A `vm_id` for the log.
pub fn shown(vm_id: Option<&str>) -> String {
    vm_id.map_or_else(
        || "vm_id not known here, see vm_config".to_owned(),
        |id| format!("vm_id \"{}\"", id.escape_default()),
    )
}

const fn name(mode: SyncMode) -> &'static str {
    match mode {
        SyncMode::Singleton => "singleton",
        SyncMode::Elected => "elected",
    }
}

/// Who should fill the table, and what to compare.
fn filler(sync: &SyncConfig, is_led: bool) -> String {
    let SyncConfig { mode, cluster, .. } = sync;
    match mode {
        _ if is_led => {
            "a sync shares this data and has received no table yet: its own lines say why (`sync failed`)"
                .to_owned()
        }
        SyncMode::Singleton => "no sync shares this data: is there a WasmService with role \"sync\" in \
             bootstrap_extensions, and is the vm_id in its line `sync leads as` the same?"
            .to_owned(),
        SyncMode::Elected => {
            format!(
                "one of this process's own contexts should fetch it from cluster \"{cluster}\": see `sync failed`"
            )
        }
    }
}

/// True when another worker has told it lately; otherwise this one does.
fn was_told<H: SharedData>(host: &H, now: Monotonic) -> bool {
    let Ok(stored) = host.read(TOLD_KEY) else { return false };
    if stored.as_ref().and_then(|stored| decode(&stored.bytes)).is_some_and(|told| is_recent(told, now)) {
        return true;
    }
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&now.to_le_bytes());
    let expect = stored.map_or(Expect::Absent, |stored| Expect::Version(stored.cas));
    host.write(TOLD_KEY, &bytes, expect) == Ok(Write::Conflict)
}

const fn is_recent(told: Monotonic, now: Monotonic) -> bool {
    now.saturating_sub(told) < INTERVAL_NS
}

fn decode(bytes: &[u8]) -> Option<Monotonic> {
    let mut reader = Reader::new(bytes);
    let told = (reader.u8()? == VERSION).then(|| reader.u64())??;
    reader.end()?;
    Some(told)
}

#[cfg(test)]
mod tests;
