//! Which build a figure is of: a hash of what was measured and of how. A row that is there with the same stamp need not be measured again.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::process::{FILTER, FILTER_FOR_RESPONSES, SERVICE, artifact, root};

/// What takes part in a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The filter's own code, in this program.
    Simulation,
    /// Proxies with what they bring themselves.
    Peer,
    /// Envoy with the filter.
    Proxy,
    /// They and the control plane.
    Both,
    /// Envoy and the rate-limit service over limitador.
    Service,
    /// All of them.
    Limits,
}

/// The stamps of what lies there now: two hashes each, of the programs that take part and of the code here that measures them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stamps {
    simulation: String,
    peer: String,
    proxy: String,
    both: String,
    service: String,
    limits: String,
}

/// Parts of this program that say how results are written and not how they are measured.
const NOT_MEASURING: [&str; 10] = [
    "all.rs",
    "check.rs",
    "main.rs",
    "report",
    "report.rs",
    "results.rs",
    "stamp.rs",
    "rows/goals.rs",
    "rows/tests.rs",
    "graph/tests.rs",
];

impl Stamps {
    /// Reads what lies there. Of a part whose programs are not built there is no stamp, and nothing is of it.
    pub fn now() -> Result<Self> {
        let measuring = measuring()?;
        let of = |part| match programs(part) {
            Some(programs) => format!("{programs}-{measuring}"),
            None => String::new(),
        };
        Ok(Self {
            simulation: of(Part::Simulation),
            peer: of(Part::Peer),
            proxy: of(Part::Proxy),
            both: of(Part::Both),
            service: of(Part::Service),
            limits: of(Part::Limits),
        })
    }

    /// That of one part.
    pub fn of(&self, part: Part) -> &str {
        match part {
            Part::Simulation => &self.simulation,
            Part::Peer => &self.peer,
            Part::Proxy => &self.proxy,
            Part::Both => &self.both,
            Part::Service => &self.service,
            Part::Limits => &self.limits,
        }
    }

    /// True when `stamp` is of the programs that these stamps are of, however they were measured.
    pub fn is_of_these_programs(&self, part: Part, stamp: &str) -> bool {
        let programs = |stamp: &str| stamp.split('-').next().unwrap_or_default().to_owned();
        !stamp.is_empty() && programs(stamp) == programs(self.of(part))
    }
}

/// The hash of the programs that take part.
fn programs(part: Part) -> Option<String> {
    let mut hash = Sha256::new();
    let peer = [("target/bench/empty-filter.wasm", "make bench-build"), (".cache/envoy", "make setup")];
    let proxy = [(FILTER, "make wasm"), (FILTER_FOR_RESPONSES, "make wasm"), (".cache/envoy", "make setup")];
    let control = [("dist/flamegate-control", "make build")];
    let service = [(SERVICE, "make bench-build"), (".cache/envoy", "make setup")];
    let files: Vec<_> = match part {
        Part::Simulation => vec![(FILTER, "make wasm")],
        Part::Peer => peer.to_vec(),
        Part::Proxy => proxy.to_vec(),
        Part::Both => [&proxy[..], &control[..]].concat(),
        Part::Service => service.to_vec(),
        Part::Limits => [&proxy[..], &control[..], &service[..]].concat(),
    };
    for (path, made_by) in files {
        hash.update(fs::read(artifact(path, made_by).ok()?).ok()?);
    }
    Some(short(hash))
}

/// The hash of the code that measures.
fn measuring() -> Result<String> {
    let mut hash = Sha256::new();
    let bench = root()?.join("tests/bench");
    sources(&bench.join("src"), &mut hash)?;
    sources(&bench.join("lua"), &mut hash)?;
    Ok(short(hash))
}

fn short(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Adds the files that measure, in order of their names.
fn sources(folder: &Path, hash: &mut Sha256) -> Result<()> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    for file in files.into_iter().filter(|file| !NOT_MEASURING.iter().any(|name| file.ends_with(name))) {
        if file.is_dir() {
            sources(&file, hash)?;
        } else {
            hash.update(fs::read(&file).with_context(|| file.display().to_string())?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_measure_is_there() {
        let folder = root().expect("the repository").join("tests/bench/src");
        for name in NOT_MEASURING {
            assert!(folder.join(name).exists(), "{name}");
        }
    }

    #[test]
    fn a_figure_stays_current_while_only_what_measures_it_changes() {
        let stamps = Stamps { proxy: "filter-how".into(), peer: "envoy-how".into(), ..Stamps::default() };
        assert!(stamps.is_of_these_programs(Part::Proxy, "filter-otherwise"));
        assert!(!stamps.is_of_these_programs(Part::Proxy, "older-how"));
        assert!(!stamps.is_of_these_programs(Part::Peer, "filter-how"));
        assert!(!stamps.is_of_these_programs(Part::Both, ""));
    }
}
