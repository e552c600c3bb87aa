//! Counts and gauges on Envoy's stats. Metrics are defined on the first tick, never while configuring: a definition that
//! fails must not decide whether requests are authenticated.

use std::collections::BTreeMap;

use crate::decision::metrics::{COUNTERS, Counts, FLEET_GAUGES, GAUGES, shadow_name};
use crate::host::Now;
use crate::table::status::Status;

use super::abi::{self, Metric};

/// The numbers of the metrics in this VM.
#[derive(Debug, Default)]
pub struct Metrics {
    counters: Vec<Option<u32>>,
    /// Twins for what passes in shadow: each is defined when it is needed, since most gateways need none.
    shadowed: BTreeMap<usize, Option<u32>>,
    gauges: Vec<Option<u32>>,
    fleet_gauges: Vec<Option<u32>>,
    gauges_written: u64,
    /// When the table was last known to be fresh, on the monotonic clock.
    fresh: Option<u64>,
}

/// How often the gauges are written, in nanoseconds.
const GAUGE_PERIOD_NS: u64 = NANOS_PER_SECOND;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Metrics {
    /// Adds what was counted since the last flush.
    pub fn flush(&mut self, counts: &mut Counts) {
        self.define();
        for (index, count) in counts.take() {
            add(self.counters.get(index).copied().flatten(), count);
        }
        for (index, count) in counts.take_shadowed() {
            let define = || abi::define_metric(Metric::Counter, &shadow_name(COUNTERS.get(index)?)).ok();
            add(*self.shadowed.entry(index).or_insert_with(define), count);
        }
    }

    /// True once a second: time to write the gauges.
    pub fn gauges_due(&mut self, now: Now) -> bool {
        let due = now.monotonic.saturating_sub(self.gauges_written) >= GAUGE_PERIOD_NS;
        if due {
            self.gauges_written = now.monotonic;
        }
        due
    }

    /// Sets the gauges to what `status` says. Every worker writes the same. Without a table there are no keys, and the
    /// age goes on from the last table, or from the first look when there never was one. Who never records has no gauges: a gateway
    /// with static keys alone is not one without a table.
    pub fn record(&mut self, status: Option<&Status>, now: Now) {
        if self.gauges.is_empty() {
            self.gauges = GAUGES.iter().map(|name| abi::define_metric(Metric::Gauge, name).ok()).collect();
        }
        let since = self.fresh.get_or_insert(now.monotonic);
        if let Some(status) = status {
            *since = now.monotonic.saturating_sub(status.age_ns(now));
        }
        let age_seconds = now.monotonic.saturating_sub(*since) / NANOS_PER_SECOND;
        let (keys, revision) = status.map_or((0, 0), |status| (status.keys, status.revision));
        let confirmed = status.map_or(0, |status| status.synced.wall / NANOS_PER_SECOND);
        let values = [keys, revision, age_seconds, u64::from(status.is_some()), confirmed];
        for (id, value) in self.gauges.iter().zip(values) {
            if let Some(id) = id {
                let _ = abi::record_metric(*id, value);
            }
        }
    }

    /// Sets the gauges of fleet limits.
    pub fn record_lending(&mut self, values: [u64; FLEET_GAUGES.len()]) {
        if self.fleet_gauges.is_empty() {
            self.fleet_gauges =
                FLEET_GAUGES.iter().map(|name| abi::define_metric(Metric::Gauge, name).ok()).collect();
        }
        for (id, value) in self.fleet_gauges.iter().flatten().zip(values) {
            let _ = abi::record_metric(*id, value);
        }
    }

    fn define(&mut self) {
        if self.counters.is_empty() {
            self.counters =
                COUNTERS.iter().map(|name| abi::define_metric(Metric::Counter, name).ok()).collect();
        }
    }
}

fn add(id: Option<u32>, count: u64) {
    if let (Some(id), Ok(count)) = (id, i64::try_from(count)) {
        // A stat that cannot be moved is not worth a request.
        let _ = abi::increment_metric(id, count);
    }
}
