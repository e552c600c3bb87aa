//! The results of a run as JSON, committed beside the code: the report is written from them, the guard compares with them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{gateways, keysync::Outcome, process::root};

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// What was measured: versions of the programs, and the artifact.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// Instructions per request.
    #[serde(default)]
    pub instructions: Vec<Row>,
    /// Side-by-side runs.
    #[serde(default)]
    pub ratios: Vec<Ratio>,
    /// Cold sync.
    #[serde(default)]
    pub sync: Vec<Outcome>,
    /// Many gateways on one control plane.
    #[serde(default)]
    pub gateways: Option<gateways::Outcome>,
    /// Limiter accuracy.
    #[serde(default)]
    pub limiter: Vec<serde_json::Value>,
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

impl Row {
    /// Instructions that it adds to a request.
    pub fn added(&self) -> f64 {
        self.worker - self.baseline + self.server.unwrap_or(0.0)
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
        let path = Self::path()?;
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Writes them.
    pub fn save(&self) -> Result<()> {
        let path = Self::path()?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(&path, text).with_context(|| path.display().to_string())
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
