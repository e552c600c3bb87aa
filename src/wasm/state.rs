//! What a root context and its streams share.

use std::cell::RefCell;
use std::rc::Rc;

use crate::config::{Config, Role, SyncMode};
use crate::host::Clock as _;
use crate::sync::driver::Driver;
use crate::sync::no_table::NoTable;
use crate::worker::Worker;

use super::abi;
use super::host::Envoy;
use super::log_level::follow_log_level;
use super::metrics::Metrics;
use super::start::started;

/// A root context's state, shared with the callbacks of its requests.
pub type SharedState = Rc<RefCell<State>>;

/// A root context's part of the VM.
#[derive(Default)]
pub struct State {
    /// There when this plugin decides requests.
    pub worker: Option<Worker>,
    pub driver: Option<Driver>,
    pub metrics: Metrics,
    no_table: NoTable,
}

impl State {
    pub fn configure(&mut self, config: Config) {
        let config = Rc::new(config);
        let drives = |mode| config.role == Role::Sync || mode == SyncMode::Elected;
        self.driver = config.sync.as_ref().filter(|sync| drives(sync.mode)).map(|sync| {
            // Envoy 1.33 renamed the attribute.
            let node =
                ["xds\0node\0id", "node\0id"].into_iter().find_map(|path| abi::property(path).ok().flatten());
            let node = node.unwrap_or_default();
            let driver = Driver::new(sync.clone(), &String::from_utf8_lossy(&node), Envoy.monotonic());
            driver.in_vm(vm_id())
        });
        self.worker = (config.role == Role::Filter).then(|| {
            let mut worker = Worker::new(config);
            worker.hold_since(started());
            worker
        });
    }

    pub fn tick(&mut self) {
        if let Some(driver) = &mut self.driver {
            driver.tick(&Envoy);
            self.metrics.flush(&mut driver.counts);
        }
        let now = Envoy.now();
        let gauges_due = self.metrics.gauges_due(now);
        if gauges_due {
            follow_log_level();
            if let Some(values) = self.driver.as_ref().and_then(Driver::lending) {
                self.metrics.record_lending(values);
            }
        }
        if let Some(worker) = &mut self.worker {
            worker.tick(&Envoy);
            self.metrics.flush(&mut worker.counts);
            // Only who decides requests knows what they are decided by: a sync of another `vm_id` has a table of its own.
            if gauges_due && let Some(sync) = worker.sync() {
                self.metrics.record(worker.status(), now);
                let has_table = worker.status().is_some();
                if let Some(line) = self.no_table.due(&Envoy, has_table, sync, vm_id, now.monotonic) {
                    log::warn!("flamegate: {line}");
                }
            }
        }
    }
}

/// The `vm_id` of this VM, where the host says it.
fn vm_id() -> Option<String> {
    let id = abi::property("plugin_vm_id").ok().flatten()?;
    Some(String::from_utf8_lossy(&id).into_owned())
}
