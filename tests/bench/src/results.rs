//! The results of a run as JSON, committed beside the code: the report is written from them, the guard compares with them. Until a run of
//! everything is complete they are in `target/bench`, so that it can be gone on with.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{
    fleet, gateways,
    graph::Graph,
    keysync::Outcome,
    limits,
    process::root,
    rows,
    stamp::{Part, Stamps},
};

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// What was measured: versions of the programs, and the artifact.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// Instructions per request.
    #[serde(default)]
    pub instructions: Vec<Row>,
    /// Some of them taken apart.
    #[serde(default)]
    pub graphs: Vec<Graph>,
    /// Side-by-side runs.
    #[serde(default)]
    pub ratios: Vec<Ratio>,
    /// Cold sync.
    #[serde(default)]
    pub sync: Vec<Outcome>,
    /// Many gateways on one control plane.
    #[serde(default)]
    pub gateways: Option<gateways::Outcome>,
    /// Several control planes beside one.
    #[serde(default)]
    pub fleet: Vec<fleet::Row>,
    /// One limit over several gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<limits::Outcome>,
    /// Limiter accuracy.
    #[serde(default)]
    pub limiter: Vec<serde_json::Value>,
    /// The stamps of what lay there when something was last measured, or the report was written (`stamp.rs`).
    #[serde(default)]
    pub stamps: Stamps,
    /// What is there: how long it took, and of which build it is.
    #[serde(default)]
    pub done: BTreeMap<String, Done>,
}

/// A measurement that is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// Of which build it is.
    pub stamp: String,
    /// How long it took.
    pub seconds: f64,
}

/// Instructions per request of one thing in one state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Short name; with `keys` it identifies the row.
    pub id: String,
    /// What is measured, for people.
    pub what: String,
    /// Keys in the table; 0 when there is none.
    pub keys: u32,
    /// Instructions of the worker thread per request: the median of the runs.
    pub worker: f64,
    /// Smallest and largest of the runs.
    pub spread: [f64; 2],
    /// The same for all threads of the process.
    pub process: f64,
    /// Mutexes of the C library that the worker thread locked per request.
    #[serde(default)]
    pub locks: f64,
    /// Instructions of a second process that takes part (the server behind `ext_authz`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<f64>,
    /// What the proxy alone needs for the same request; `worker` less this is what the check adds.
    pub baseline: f64,
}

/// Throughput and latency relative to a baseline, from interleaved runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ratio {
    /// Short name.
    pub id: String,
    /// What is measured, for people.
    pub what: String,
    /// Throughput with it over throughput without, for each pair of runs, sorted.
    pub throughput: Vec<f64>,
    /// Median latency with it over that without, for each pair of runs, sorted.
    pub latency_p50: Vec<f64>,
    /// The same for the 99th percentile.
    pub latency_p99: Vec<f64>,
    /// Processor time per request with it over that without, of the proxy and whatever it asks.
    #[serde(default)]
    pub cpu: Vec<f64>,
}

/// The name of the measurement of row `id` at `keys` keys.
pub fn step(id: &str, keys: u32) -> String {
    format!("instructions {id} {keys}")
}

/// The names of what is measured as a whole.
pub const LIMITER: &str = "limiter";
/// Where a request's instructions go.
pub const GRAPHS: &str = "graph";
/// Several control planes.
pub const FLEET: &str = "fleet";
/// Many gateways on one of them, which are the first of these, too.
pub const GATEWAYS: &str = "gateways";
/// One limit over several gateways.
pub const LIMITS: &str = "limits";
/// What serves keys that are computed.
pub const STAND_IN: &str = "stand-in";

/// The name of the measurement of a cold sync, `real`: from the control plane.
pub fn sync_step(keys: u32, real: bool) -> String {
    format!("keys {keys} {}", if real { "flamegate-control" } else { STAND_IN })
}

/// The name of a measurement side by side.
pub fn ratio_step(id: &str) -> String {
    format!("ratios {id}")
}

impl Row {
    /// Instructions that it adds to a request.
    pub fn added(&self) -> f64 {
        self.worker - self.baseline + self.server.unwrap_or(0.0)
    }

    /// Its measurement's name.
    pub fn step(&self) -> String {
        step(&self.id, self.keys)
    }
}

impl Results {
    /// Where they are committed; elsewhere when `FLAMEGATE_BENCH_RESULTS` names a file.
    pub fn path() -> Result<PathBuf> {
        if let Some(other) = std::env::var_os("FLAMEGATE_BENCH_RESULTS") {
            return Ok(PathBuf::from(other));
        }
        Ok(root()?.join("tests/bench/results/results.json"))
    }

    /// Reads the committed ones; empty when there are none yet.
    pub fn load() -> Result<Self> {
        Self::load_from(&Self::path()?)
    }

    /// Reads those of a file; empty when it is not there.
    pub fn load_from(path: &Path) -> Result<Self> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Writes them to a file, whole or not at all.
    pub fn save_to(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let new = path.with_extension("new");
        fs::write(&new, text).with_context(|| new.display().to_string())?;
        fs::rename(&new, path).with_context(|| path.display().to_string())
    }

    /// True when `step` was measured with the build that has this stamp.
    pub fn has(&self, step: &str, stamp: &str) -> bool {
        !stamp.is_empty() && self.done.get(step).is_some_and(|done| done.stamp == stamp)
    }

    /// Notes that `step`, begun at `started`, is there now.
    pub fn note(&mut self, step: String, stamp: &str, started: Instant) {
        let seconds = started.elapsed().as_secs_f64().round();
        self.done.insert(step, Done { stamp: stamp.to_owned(), seconds });
    }

    /// Drops the rows of other builds: those that are not measured any more.
    pub fn forget_other_builds(&mut self) {
        let rows = std::mem::take(&mut self.instructions);
        self.instructions = rows.into_iter().filter(|row| self.is_current(row)).collect();
        let names: Vec<String> = self.instructions.iter().map(Row::step).collect();
        self.done.retain(|step, _| !step.starts_with("instructions ") || names.contains(step));
    }

    /// True when a row is of the build that the versions name.
    pub fn is_current(&self, row: &Row) -> bool {
        self.is_step_current(&row.step(), rows::part(&row.id))
    }

    /// The same of anything else.
    pub fn is_step_current(&self, step: &str, part: Part) -> bool {
        self.done.get(step).is_some_and(|done| self.stamps.is_of_these_programs(part, &done.stamp))
    }

    /// The row of `id` at `keys` keys.
    pub fn row(&self, id: &str, keys: u32) -> Option<&Row> {
        self.instructions.iter().find(|row| row.id == id && row.keys == keys)
    }

    /// Puts a row in the place of the old one of its name, or at the end.
    pub fn put(&mut self, row: Row) {
        match self.instructions.iter_mut().find(|old| old.id == row.id && old.keys == row.keys) {
            Some(old) => *old = row,
            None => self.instructions.push(row),
        }
    }

    /// The same for ratios.
    pub fn put_ratios(&mut self, ratios: Vec<Ratio>) {
        self.ratios.retain(|old| ratios.iter().all(|new| new.id != old.id));
        self.ratios.extend(ratios);
    }

    /// The same for a cold sync.
    pub fn put_sync(&mut self, outcome: Outcome) {
        let same = |old: &Outcome| old.keys == outcome.keys && old.control_plane == outcome.control_plane;
        self.sync.retain(|old| !same(old));
        self.sync.push(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str) -> Row {
        let (id, what) = (id.to_owned(), String::new());
        Row {
            id,
            what,
            keys: 1,
            worker: 1.0,
            spread: [1.0; 2],
            process: 1.0,
            locks: 0.0,
            server: None,
            baseline: 0.0,
        }
    }

    #[test]
    fn what_is_of_this_build_is_kept_and_what_is_of_another_is_not() {
        let stamps = r#"{"simulation": "", "both": "", "proxy": "new-how", "peer": "envoy-how"}"#;
        let mut results =
            Results { stamps: serde_json::from_str(stamps).expect("stamps"), ..Results::default() };
        for (id, stamp) in [("bare-hot", "new-how"), ("shipped-hot", "old-how"), ("lua", "envoy-before")] {
            results.put(row(id));
            results.note(step(id, 1), stamp, Instant::now());
        }
        // Of a time without stamps.
        results.put(row("haproxy"));
        assert!(
            results.has(&step("bare-hot", 1), "new-how") && !results.has(&step("bare-hot", 1), "old-how")
        );
        let current = |results: &Results| -> Vec<String> {
            results
                .instructions
                .iter()
                .filter(|row| results.is_current(row))
                .map(|row| row.id.clone())
                .collect()
        };
        assert_eq!(current(&results), ["bare-hot", "lua"]);
        results.forget_other_builds();
        assert_eq!(results.instructions.len(), 2);
        assert_eq!(results.done.len(), 2);
    }

    #[test]
    fn a_run_that_was_interrupted_is_found_again() {
        let folder = crate::process::new_folder("results-test").expect("a folder");
        let path = folder.join("unfinished.json");
        assert!(Results::load_from(&path).expect("none yet").instructions.is_empty());
        let mut results = Results::default();
        results.put(row("lua"));
        results.note(step("lua", 1), "envoy", Instant::now());
        results.save_to(&path).expect("written");
        let again = Results::load_from(&path).expect("there");
        assert!(again.has(&step("lua", 1), "envoy") && again.row("lua", 1).is_some());
        fs::remove_dir_all(folder).expect("removed");
    }
}
