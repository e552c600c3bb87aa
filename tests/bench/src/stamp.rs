//! Which build a figure is of: a hash of what was measured and of how. A row that is there with the same stamp need not be measured again.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::process::{FILTER, FILTER_FOR_RESPONSES, artifact, root};

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
}

/// Parts of this program that say how results are written and not how they are measured.
const NOT_MEASURING: [&str; 8] =
    ["all.rs", "check.rs", "main.rs", "report", "report.rs", "results.rs", "stamp.rs", "rows/tests.rs"];

/// The hash of the programs that take part and of the code that measures them.
pub fn of(part: Part) -> Result<String> {
    let mut hash = Sha256::new();
    let peer = [("target/bench/empty-filter.wasm", "make bench-build"), (".cache/envoy", "make setup")];
    let proxy = [(FILTER, "make wasm"), (FILTER_FOR_RESPONSES, "make wasm"), (".cache/envoy", "make setup")];
    let control = [("dist/flamegate-control", "make build")];
    let files: Vec<_> = match part {
        Part::Simulation => vec![(FILTER, "make wasm")],
        Part::Peer => peer.to_vec(),
        Part::Proxy => proxy.to_vec(),
        Part::Both => [&proxy[..], &control[..]].concat(),
    };
    for (path, made_by) in files {
        let path = artifact(path, made_by)?;
        hash.update(fs::read(&path).with_context(|| path.display().to_string())?);
    }
    let bench = root()?.join("tests/bench");
    sources(&bench.join("src"), &mut hash)?;
    sources(&bench.join("lua"), &mut hash)?;
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
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
}
