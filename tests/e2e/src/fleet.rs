//! Several control planes on one PostgreSQL, each with a way of its own to it, so that one can be cut off.

use std::path::Path;

use flamegate_engines::{Database, Replication};

use crate::Control;

/// Names of the control planes, and of their logs.
const NAMES: [&str; 4] = ["control-1", "control-2", "control-3", "control-4"];

/// The database and its control planes.
pub struct Fleet {
    /// PostgreSQL, and the ways to it in the order of the control planes.
    pub database: Database,
    /// All of them run at the start.
    pub controls: Vec<Control>,
}

impl Fleet {
    /// Starts so many control planes; the first makes the database's tables.
    pub fn start(folder: &Path, count: usize, replication: Option<Replication>) -> Self {
        Self::start_in(folder, count, replication, &[])
    }

    /// The same with more variables for the control planes.
    pub fn start_in(
        folder: &Path,
        count: usize,
        replication: Option<Replication>,
        environment: &[(&'static str, String)],
    ) -> Self {
        let database = Database::start(count, replication);
        let controls = NAMES.into_iter().take(count).enumerate().map(|(number, name)| {
            let mut control = Control::prepare_on(name, folder, database.url(number));
            control.environment = environment.to_vec();
            control.init = number == 0;
            control.start();
            control.init = false;
            control
        });
        let controls = controls.collect();
        Self { database, controls }
    }

    /// Their ports.
    pub fn ports(&self) -> Vec<u16> {
        self.controls.iter().map(|control| control.port).collect()
    }

    /// `envoy.yaml`, filled in for the first control plane, with all of them.
    pub fn in_cluster(&self, text: &str) -> String {
        let ports = self.ports();
        let first = format!("port_value: {} }} }}\n", ports[0]);
        let (before, after) = text.rsplit_once(&first).expect("the control plane in envoy.yaml");
        let (before, address) = before.rsplit_once("              - endpoint:").expect("its endpoint");
        let one = |port| format!("              - endpoint:{address}port_value: {port} }} }}\n");
        let all: String = ports.iter().map(one).collect();
        format!("{before}{all}{after}")
    }
}
