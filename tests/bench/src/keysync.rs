//! `flamegate-bench keys`: a cold sync into a running Envoy: time, memory, bytes on the wire, the longest stall of the
//! main thread and of a worker; and, when asked for, a stream of changes under load.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    churn::{self, Churn},
    client::{Client, get},
    control::Control,
    envoy::{ENVIRONMENT, Flamegate, Ports, Setup},
    keys::{Keys, Kind},
    load::Load,
    measure::{keys_in, wait_for_envoy},
    probe::{Probe, Seen},
    process::{Process, free_port, new_folder},
    real,
};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Keys in the table.
    pub keys: u32,
    /// Worker threads.
    pub workers: u32,
    /// Whether the real control plane serves them.
    pub real: bool,
    /// Changes a second after the sync; 0 for none.
    pub changes: u32,
    /// For how long, in seconds.
    pub seconds: u32,
}

/// What was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Keys in the table.
    pub keys: u32,
    /// Worker threads of Envoy.
    pub workers: u32,
    /// Which control plane served them.
    pub control_plane: String,
    /// From its start until the whole table is there, in seconds.
    pub seconds: f64,
    /// Bytes of JSON per key; `None` for the real control plane, which does not say.
    pub wire_bytes_per_key: Option<f64>,
    /// Live bytes of Envoy's allocator per key.
    pub heap_bytes_per_key: f64,
    /// Resident bytes of the process per key, with what the allocator keeps of the pages.
    pub resident_bytes_per_key: f64,
    /// Resident bytes by which the process grows when each worker's cache is filled, per worker.
    pub cache_bytes_per_worker: f64,
    /// Waits of the main thread, which syncs, before and during the sync.
    pub main: [Seen; 2],
    /// Waits of a worker before and during the sync.
    pub worker: [Seen; 2],
    /// Changes under load.
    pub churn: Option<Churn>,
}

/// How long the machine is watched before the sync, to know what it does by itself.
const CALM: Duration = Duration::from_secs(5);
/// Names of Envoy's threads.
const MAIN: &str = "envoy";
const WORKER: &str = "wrk:";
/// How long a sync may take.
const MOST: Duration = Duration::from_secs(600);
/// Different keys that fill the caches of the workers, 4,096 records each.
const FILL: u32 = 40_000;

/// Runs the plan and prints what was seen.
pub fn run(plan: Plan) -> Result<Outcome> {
    let folder = new_folder("keys")?;
    let prepared = if plan.real { Some(real::prepare(&folder, plan.keys)?) } else { None };
    let control_port = prepared.as_ref().map_or_else(free_port, |real| real.port);
    let setup = Setup { workers: plan.workers, ..Setup::flamegate(Flamegate::Default, control_port, 20)? };
    let (line, ports) = setup.write("envoy", &folder)?;
    let mut envoy = Process::start("envoy", &folder, &line, ENVIRONMENT)?;
    wait_for_envoy(&mut envoy, ports, None)?;

    let threads = (envoy.threads(MAIN)?, envoy.threads(WORKER)?);
    let calm = watch(ports, threads.clone(), || {
        thread::sleep(CALM);
        Ok(())
    })?;
    let before = memory(&envoy, ports)?;
    let (mut took, mut stand_in, mut _server) = (Duration::ZERO, None, None);
    let busy = watch(ports, threads.clone(), || {
        let started = Instant::now();
        match &prepared {
            Some(real) => _server = Some(real.start(&folder)?),
            None => {
                stand_in = Some(Control::start_on(control_port, Keys::new(Kind::Ordinary, plan.keys, &[]))?)
            }
        }
        let there = || keys_in(ports.admin) == usize::try_from(plan.keys).ok();
        envoy.wait_until("the table is there", MOST, there)?;
        took = started.elapsed();
        Ok(())
    })?;
    let after = memory(&envoy, ports)?;
    let cache = fill_caches(plan, ports, &envoy)?;
    let wire = stand_in.as_ref().map(Control::sent_bytes);
    let churn = match (&stand_in, plan.changes) {
        (Some(control), 1..) => Some(churn::run(control, ports, plan.keys, plan.changes, plan.seconds)?),
        _ => None,
    };
    let keys = f64::from(plan.keys);
    let outcome = Outcome {
        keys: plan.keys,
        workers: plan.workers,
        control_plane: if plan.real { "flamegate-control" } else { "stand-in" }.to_owned(),
        seconds: took.as_secs_f64(),
        wire_bytes_per_key: wire.map(|bytes| bytes as f64 / keys),
        heap_bytes_per_key: (after.0 - before.0) / keys,
        resident_bytes_per_key: (after.1 - before.1) / keys,
        cache_bytes_per_worker: cache,
        main: [calm.0, busy.0],
        worker: [calm.1, busy.1],
        churn,
    };
    outcome.print();
    Ok(outcome)
}

/// Waits of the main thread and of a worker while `work` is done.
fn watch(
    ports: Ports,
    (main, workers): (Vec<PathBuf>, Vec<PathBuf>),
    work: impl FnOnce() -> Result<()>,
) -> Result<(Seen, Seen)> {
    let main = Probe::start(ports.admin, "/ready", main)?;
    let worker = Probe::start(ports.gateway, "/v1/agents", workers)?;
    work()?;
    Ok((main.finish()?, worker.finish()?))
}

/// Live bytes of the allocator, and resident bytes of the process.
fn memory(envoy: &Process, ports: Ports) -> Result<(f64, f64)> {
    let report: serde_json::Value = serde_json::from_str(&get(ports.admin, "/memory")?)?;
    let live = report["allocated"].as_str().context("allocated")?.parse()?;
    Ok((live, envoy.memory("VmRSS")? as f64))
}

/// Uses many keys on many connections, so that every worker's cache is full; growth per worker.
fn fill_caches(plan: Plan, ports: Ports, envoy: &Process) -> Result<f64> {
    let before = memory(envoy, ports)?;
    let mut clients =
        (0..plan.workers * 4).map(|_| Client::connect(ports.gateway)).collect::<Result<Vec<_>>>()?;
    let load = Load::Cycle(plan.keys);
    for number in 0..FILL.min(plan.keys) {
        let next = usize::try_from(number)? % clients.len();
        clients[next].expect(&load.request(number, ""), 200)?;
    }
    ensure!(
        Client::connect(ports.gateway)?.send(&Load::Unknown.request(0, ""))?.status == 401,
        "unknown key"
    );
    Ok((memory(envoy, ports)?.1 - before.1) / f64::from(plan.workers))
}

impl Outcome {
    fn print(&self) {
        println!("{} keys, {} workers, control plane: {}", self.keys, self.workers, self.control_plane);
        println!("  cold sync          {:.2} s", self.seconds);
        if let Some(bytes) = self.wire_bytes_per_key {
            println!("  on the wire        {bytes:.0} bytes of JSON per key");
        }
        println!(
            "  memory             {:.0} bytes of heap per key, {:.0} resident (once per process)",
            self.heap_bytes_per_key, self.resident_bytes_per_key
        );
        println!(
            "  caches             {:.1} MiB resident per worker when full",
            self.cache_bytes_per_worker / 1_048_576.0
        );
        for (name, [calm, busy]) in [("main thread", self.main), ("worker", self.worker)] {
            println!("  {name:<11} before waits {}", calm.wait);
            println!("  {name:<11} during waits {}", busy.wait);
            println!("  {name:<11} during busy  {}", busy.busy);
        }
        if let Some(churn) = &self.churn {
            churn.print();
        }
    }
}
