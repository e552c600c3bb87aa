//! `flamegate-bench instructions`: what each way to check an API key adds to a request, in instructions.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    control::Control,
    envoy::{Flamegate, Setup, table},
    keys::Kind,
    load::Load,
    measure::{Effort, Measured, Subject},
    process::{artifact, new_folder},
    results::{Results, Row},
};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Only rows whose id contains this.
    pub only: String,
    /// Sizes of the key table.
    pub keys: Vec<u32>,
    /// How long and how often.
    pub effort: Effort,
}

/// The tick of the measured filter. A program under callgrind is about fifty times slower, so a tick of 1 s comes after
/// as many requests as one of 20 ms does in a proxy that is not watched.
const TICK_MS: u32 = 1_000;

/// One load on one setup.
struct Series {
    id: &'static str,
    what: &'static str,
    load: Load,
    spoofed: bool,
    status: u16,
}

/// A run over all that the plan names; rows are put into `results` and printed as they come.
pub struct Instructions<'a> {
    plan: &'a Plan,
    results: &'a mut Results,
    folder: PathBuf,
}

const fn series(id: &'static str, what: &'static str, load: Load, status: u16) -> Series {
    Series { id, what, load, spoofed: false, status }
}

/// What the proxy alone needs for a request with a key, for one with two more headers, and for one without a key.
const BASELINES: [Series; 3] = [
    series("none", "no filter", Load::Hot(Kind::Ordinary), 200),
    Series { spoofed: true, ..series("none-spoofed", "no filter, two more request headers", Load::Hot(Kind::Ordinary), 200) },
    series("none-missing", "no filter, request without a key", Load::Missing, 200),
];

impl<'a> Instructions<'a> {
    /// Prepares a run.
    pub fn new(plan: &'a Plan, results: &'a mut Results) -> Result<Self> {
        Ok(Self { plan, results, folder: new_folder("instructions")? })
    }

    /// Measures everything.
    pub fn run(&mut self) -> Result<()> {
        self.baselines()?;
        self.empty_filter()?;
        for keys in self.plan.keys.clone() {
            self.flamegate(keys)?;
        }
        Ok(())
    }

    fn baselines(&mut self) -> Result<()> {
        let known = BASELINES.iter().all(|series| self.results.row(series.id, 0).is_some());
        if known && !"none".contains(&self.plan.only) {
            return Ok(());
        }
        let mut subject = Subject::envoy("none", &self.folder, &Setup::none(), None)?;
        for series in BASELINES {
            self.measure(&mut subject, &series, 0)?;
        }
        Ok(())
    }

    fn empty_filter(&mut self) -> Result<()> {
        let rows = [series("empty-filter", "proxy-wasm filter that does nothing", Load::Hot(Kind::Ordinary), 200)];
        let wasm = artifact("target/bench/empty-filter.wasm", "make bench")?;
        self.envoy(&Setup::empty_filter(&wasm), 0, None, &rows)
    }

    fn flamegate(&mut self, keys: u32) -> Result<()> {
        let control = Control::start(table(keys))?;
        let count = Some(control.keys().all().len());
        let known = keys.min(1_000);
        for state in [Flamegate::Bare, Flamegate::Headers, Flamegate::Default, Flamegate::RateLimit] {
            let mut rows = flamegate_rows(state, known);
            if state == Flamegate::Bare && keys > 4_096 {
                rows.push(series("bare-scattered", "Flamegate bare, all keys of the table in turn: cache misses", Load::Scattered(keys), 200));
            }
            self.envoy(&Setup::flamegate(state, control.port, TICK_MS)?, keys, count, &rows)?;
        }
        Ok(())
    }

    /// Measures those of `rows` that the plan names on one Envoy.
    fn envoy(&mut self, setup: &Setup, keys: u32, synced: Option<usize>, rows: &[Series]) -> Result<()> {
        let wanted: Vec<_> = rows.iter().filter(|row| row.id.contains(&self.plan.only)).collect();
        let Some(first) = wanted.first() else { return Ok(()) };
        let name = format!("{}-{keys}", first.id);
        let mut subject = Subject::envoy(&name, &self.folder, setup, synced)?;
        for row in wanted {
            self.measure(&mut subject, row, keys).with_context(|| format!("{} at {keys} keys", row.id))?;
        }
        Ok(())
    }

    fn measure(&mut self, subject: &mut Subject, series: &Series, keys: u32) -> Result<()> {
        let measured = subject.measure(series.load, series.spoofed, series.status, self.plan.effort, None)?;
        self.put(series, keys, &measured, None)
    }

    fn put(&mut self, series: &Series, keys: u32, measured: &Measured, server: Option<f64>) -> Result<()> {
        let baseline = if series.id.starts_with("none") {
            measured.median()
        } else {
            let id = match series.load {
                Load::Missing => "none-missing",
                _ if series.spoofed => "none-spoofed",
                _ => "none",
            };
            self.results.row(id, 0).context("no baseline")?.worker
        };
        let row = Row {
            id: series.id.to_owned(),
            what: series.what.to_owned(),
            keys,
            worker: measured.median().round(),
            spread: measured.spread().map(f64::round),
            process: measured.process_median().round(),
            server: server.map(f64::round),
            baseline: baseline.round(),
        };
        print_row(&row);
        self.results.put(row);
        self.results.save()
    }
}

fn flamegate_rows(state: Flamegate, known: u32) -> Vec<Series> {
    let hot = Load::Hot(Kind::Ordinary);
    match state {
        Flamegate::Bare => vec![
            series("bare-hot", "Flamegate bare: accepted, one busy key", hot, 200),
            series("bare-cycle", "Flamegate bare: accepted, 1,000 keys in turn", Load::Cycle(known), 200),
            series("bare-unlimited", "Flamegate bare: accepted, a key without limits", Load::Hot(Kind::Unlimited), 200),
            series("bare-exact", "Flamegate bare: accepted, a small limit, every request counted in shared data", Load::Hot(Kind::Exact), 200),
            series("missing", "Flamegate: 401, no key", Load::Missing, 401),
            series("unknown", "Flamegate: 401, the same unknown key", Load::Unknown, 401),
            series("random", "Flamegate: 401, a new unknown key each time", Load::Random, 401),
            series("used-up", "Flamegate: 429", Load::Hot(Kind::UsedUp), 429),
        ],
        Flamegate::Headers => vec![
            Series {
                spoofed: true,
                ..series("headers-hot", "Flamegate with identity headers, authorization stripped, two client headers cleaned away", hot, 200)
            },
            series("headers-plain", "the same, without headers to clean away", hot, 200),
        ],
        Flamegate::Default => vec![series("default-hot", "Flamegate with its defaults: identity headers and filter state", hot, 200)],
        Flamegate::RateLimit => {
            vec![series("ratelimit-hot", "Flamegate bare, with RateLimit headers on success", hot, 200)]
        }
    }
}

/// One line per row, as they come.
fn print_row(row: &Row) {
    println!(
        "{:<18} {:>9} keys {:>9.0} added (worker {:>9.0}, runs {:.0}..{:.0}; process {:.0})",
        row.id, row.keys, row.added(), row.worker, row.spread[0], row.spread[1], row.process
    );
}

/// The effort of the full report.
pub const FULL: Effort = Effort { requests: 2_000, warm_up: 1_000, runs: 3, idle: Duration::from_secs(4) };

/// The same with other numbers.
pub const fn effort(requests: u32, runs: u32) -> Effort {
    Effort { requests, runs, ..FULL }
}
