//! `flamegate-bench all`: every measurement of the report, then the report.

use std::{fs, path::PathBuf, process::Command, time::Instant};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{
    fleet::{self, Plan as FleetPlan},
    graph, haproxy,
    instructions::{FULL, Instructions, Plan},
    keysync, limiter, limits,
    measure::Effort,
    process::{FILTER, artifact, root},
    ratios, report,
    results::{Done, FLEET, GATEWAYS, GRAPHS, LIMITER, LIMITS, Results, ratio_step, sync_step},
    stamp::{Part, Stamps},
};

/// Sizes of the key table.
pub const SIZES: [u32; 4] = [1, 1_000, 100_000, 1_000_000];

/// How much is measured of several control planes.
pub const SEVERAL: FleetPlan = FleetPlan { gateways: 1_000, revocations: 20, rounds: 200 };

/// Where results are until all of them are there.
const UNFINISHED: &str = "target/bench/unfinished.json";

/// Measures what is not there yet of this build, and writes everything. What is there of another build is measured again.
pub fn run() -> Result<()> {
    let place = root()?.join(UNFINISHED);
    let mut run = Run { results: Results::load_from(&place)?, place };
    note_versions(&mut run.results)?;
    let started = Instant::now();
    run.step(LIMITER, Part::Simulation, |results| {
        results.limiter = limiter::run();
        Ok(())
    })?;
    let save = Some(run.place.clone());
    let plan = Plan {
        only: Vec::new(),
        exact: false,
        keys: SIZES.to_vec(),
        effort: FULL,
        save,
        resume: true,
        by_address: false,
    };
    Instructions::new(&plan, &mut run.results)?.run()?;
    run.ratios()?;
    for (keys, changes, real) in [(100_000, 0, true), (100_000, 1_000, false), (1_000_000, 1_000, false)] {
        run.step(&sync_step(keys, real), Part::Both, |results| {
            results.put_sync(keysync::run(keysync::Plan { keys, workers: 2, real, changes, seconds: 30 })?);
            Ok(())
        })?;
    }
    run.step(FLEET, Part::Both, |results| {
        results.fleet = fleet::run(SEVERAL)?;
        results.gateways = results.fleet.first().map(|row| row.crowd.clone());
        Ok(())
    })?;
    run.step(LIMITS, Part::Limits, |results| {
        results.limits = Some(limits::run("")?);
        Ok(())
    })?;
    run.step(GRAPHS, Part::Proxy, |results| {
        results.graphs = graph::run(Effort { runs: 1, ..FULL })?;
        Ok(())
    })?;
    if let Some(fleet) = run.results.done.get(FLEET).cloned() {
        run.results.done.insert(GATEWAYS.to_owned(), Done { seconds: 0.0, ..fleet });
    }
    let seconds: f64 = run.results.done.values().map(|done| done.seconds).sum();
    println!(
        "all of it took {:.0} min, {:.0} of them now",
        seconds / 60.0,
        started.elapsed().as_secs_f64() / 60.0
    );
    run.results.forget_other_builds();
    run.results.save_to(&Results::path()?)?;
    report::write()
}

/// A run of everything.
struct Run {
    results: Results,
    place: PathBuf,
}

impl Run {
    /// Measures one step unless it is there.
    fn step(
        &mut self,
        name: &str,
        part: Part,
        measure: impl FnOnce(&mut Results) -> Result<()>,
    ) -> Result<()> {
        let stamp = self.results.stamps.of(part).to_owned();
        if self.results.has(name, &stamp) {
            println!("{name}: kept");
            return Ok(());
        }
        let started = Instant::now();
        measure(&mut self.results)?;
        self.results.note(name.to_owned(), &stamp, started);
        println!("{name}: {:.0} s", started.elapsed().as_secs_f64());
        self.results.save_to(&self.place)
    }

    fn ratios(&mut self) -> Result<()> {
        let stamp = self.results.stamps.of(Part::Proxy).to_owned();
        let done = self.results.done.clone();
        let wanted = |name: &str| done.get(&ratio_step(name)).is_none_or(|done| done.stamp != stamp);
        let mut last = Instant::now();
        ratios::run(&wanted, &mut |ratio| {
            self.results.note(ratio_step(&ratio.id), &stamp, last);
            self.results.put_ratios(vec![ratio]);
            last = Instant::now();
            self.results.save_to(&self.place)
        })
    }
}

/// Notes the programs' versions and which artifact it was.
pub fn note_versions(results: &mut Results) -> Result<()> {
    let envoy = artifact(".cache/envoy", "make setup")?.display().to_string();
    let programs = [
        ("Envoy", envoy.as_str(), "--version"),
        ("valgrind", "valgrind", "--version"),
        ("HAProxy", haproxy::program()?, "-v"),
        ("Redis", "redis-server", "--version"),
    ];
    for (name, program, flag) in programs {
        let output = Command::new(program).arg(flag).output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let line = text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit())).unwrap_or("unknown");
        // Envoy's line begins with the path of the binary.
        let line = line.split_once("version: ").map_or(line, |(_, version)| version);
        results.versions.insert(name.to_owned(), line.trim().to_owned());
    }
    let lock = fs::read_to_string(root()?.join("tests/bench/limits-service/Cargo.lock"))?;
    let limitador =
        lock.split("name = \"limitador\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
    results.versions.insert("limitador".to_owned(), limitador.context("limitador's version")?.to_owned());
    let bytes = fs::read(artifact(FILTER, "make wasm")?).context(FILTER)?;
    let hash = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    results.stamps = Stamps::now()?;
    results.versions.insert("filter".to_owned(), format!("{} bytes, SHA-256 {hash}…", bytes.len()));
    Ok(())
}
