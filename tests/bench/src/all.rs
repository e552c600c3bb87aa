//! `flamegate-bench all`: every measurement of the report, then the report.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{
    gateways, haproxy,
    instructions::{FULL, Instructions, Plan},
    keysync, limiter,
    process::{FILTER, artifact},
    ratios, report,
    results::Results,
};

/// Sizes of the key table.
pub const SIZES: [u32; 4] = [1, 1_000, 100_000, 1_000_000];

/// Measures and writes everything. The old results are kept until the new ones are complete.
pub fn run() -> Result<()> {
    let mut results = Results { limiter: limiter::run(), ..Results::default() };
    note_versions(&mut results)?;
    let plan = Plan { only: Vec::new(), exact: false, keys: SIZES.to_vec(), effort: FULL, save: false };
    Instructions::new(&plan, &mut results)?.run()?;
    results.ratios = ratios::run("")?;
    for (keys, changes, real) in [(100_000, 0, true), (100_000, 1_000, false), (1_000_000, 1_000, false)] {
        results.put_sync(keysync::run(keysync::Plan { keys, workers: 2, real, changes, seconds: 60 })?);
    }
    results.gateways = Some(gateways::run(1_000, 20)?);
    results.save()?;
    report::write()
}

/// Notes the programs' versions and which artifact it was.
pub fn note_versions(results: &mut Results) -> Result<()> {
    let envoy = artifact(".cache/envoy", "make setup")?.display().to_string();
    let programs = [
        ("Envoy", envoy.as_str(), "--version"),
        ("valgrind", "valgrind", "--version"),
        ("HAProxy", haproxy::program()?, "-v"),
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
    let bytes = fs::read(artifact(FILTER, "make wasm")?).context(FILTER)?;
    let hash = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    results.versions.insert("filter".to_owned(), format!("{} bytes, SHA-256 {hash}…", bytes.len()));
    Ok(())
}
