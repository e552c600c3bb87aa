//! `flamegate-bench instructions`: what each way to check an API key adds to a request, in instructions.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    control::Control,
    envoy::{Flamegate, Setup, table},
    load::Load,
    measure::{self, Effort, Measured, Subject},
    process::{artifact, new_folder},
    results::{Results, Row, step},
    rows::{self, Series, series},
    stamp::{self, Part},
    upstream,
};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Only rows whose id contains one of these; all when there are none.
    pub only: Vec<String>,
    /// Only rows whose id is one of these.
    pub exact: bool,
    /// Sizes of the key table.
    pub keys: Vec<u32>,
    /// How long and how often.
    pub effort: Effort,
    /// Where the rows are written to as they come.
    pub save: Option<PathBuf>,
    /// Whether rows that are there of the same build are left as they are.
    pub resume: bool,
}

/// The tick of the measured filter: the longest that it takes. A program under callgrind is about fifty times slower, and
/// as many requests should come between two ticks as in a proxy that is not watched, where one comes every 20 ms.
const TICK_MS: u32 = 500;
/// The size of table at which peers are measured with all that makes them safe, and other ways to the gateway.
const USUAL_KEYS: u32 = 1_000;

/// A run over all that the plan names; rows are put into `results` and printed as they come.
pub struct Instructions<'a> {
    pub(super) plan: &'a Plan,
    pub(super) results: &'a mut Results,
    pub(super) folder: PathBuf,
    /// Of rows of ours, and of others.
    stamps: [String; 2],
    /// When the last row was there.
    last: Instant,
}

impl<'a> Instructions<'a> {
    /// Prepares a run.
    pub fn new(plan: &'a Plan, results: &'a mut Results) -> Result<Self> {
        let stamps = [stamp::of(Part::Proxy)?, stamp::of(Part::Peer)?];
        Ok(Self { plan, results, folder: new_folder("instructions")?, stamps, last: Instant::now() })
    }

    /// Measures everything.
    pub fn run(&mut self) -> Result<()> {
        self.baselines()?;
        for (guard, row) in rows::GUARDS {
            self.envoy(&Setup::guard_alone(guard), 0, None, &[row])?;
        }
        let wasm = artifact("target/bench/empty-filter.wasm", "make bench-build")?;
        self.envoy(&Setup::empty_filter(&wasm), 0, None, &[rows::EMPTY])?;
        for keys in self.plan.keys.clone() {
            self.peers(keys)?;
            if keys == USUAL_KEYS {
                self.safe_peers(keys)?;
                self.ways(keys)?;
            }
            self.flamegate(keys)?;
        }
        Ok(())
    }

    fn baselines(&mut self) -> Result<()> {
        let wanted = |row: &Series| self.wants(row, 0) || self.results.row(row.id, 0).is_none();
        let wanted: Vec<_> = rows::BASELINES.into_iter().filter(wanted).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut subject = Subject::envoy("none", &self.folder, &Setup::none(), None)?;
        wanted.iter().try_for_each(|series| self.measure(&mut subject, series, 0))
    }

    /// The other ways to the gateway and from it, each beside the proxy alone.
    fn ways(&mut self, keys: u32) -> Result<()> {
        for way in rows::WAYS {
            let shipped = way.shipped.iter().any(|(_, row)| self.wants(row, keys));
            let base = self.wants(&way.none, 0) || (shipped && self.results.row(way.none.id, 0).is_none());
            if !shipped && !base {
                continue;
            }
            let upstream = if way.upstream { Some(upstream::start()?) } else { None };
            let reached = |setup| Setup { downstream: way.downstream, upstream, ..setup };
            if base {
                let mut subject = Subject::envoy(way.none.id, &self.folder, &reached(Setup::none()), None)?;
                self.measure(&mut subject, &way.none, 0)?;
            }
            let control = Control::start(table(keys))?;
            let count = Some(control.keys().all().len());
            for (state, row) in way.shipped {
                let setup = reached(Setup::flamegate(state, control.port, TICK_MS)?);
                self.envoy(&setup, keys, count, &[row])?;
            }
        }
        Ok(())
    }

    /// True for a row that the plan names and that is not there yet.
    pub(super) fn wants(&self, row: &Series, keys: u32) -> bool {
        let matches =
            |name: &String| if self.plan.exact { row.id == name } else { row.id.contains(name.as_str()) };
        let named = self.plan.only.is_empty() || self.plan.only.iter().any(matches);
        named && !(self.plan.resume && self.results.has(&step(row.id, keys), self.stamp(row.id)))
    }

    fn stamp(&self, id: &str) -> &str {
        let [ours, others] = &self.stamps;
        if rows::is_ours(id) { ours } else { others }
    }

    fn flamegate(&mut self, keys: u32) -> Result<()> {
        let control = Control::start(table(keys))?;
        let count = Some(control.keys().all().len());
        let known = keys.min(1_000);
        for state in [
            Flamegate::Bare,
            Flamegate::Headers,
            Flamegate::Default,
            Flamegate::Shipped,
            Flamegate::ShippedRbac,
            Flamegate::RateLimit,
        ] {
            let mut rows = rows::flamegate(state, known);
            if state == Flamegate::Bare && keys > 4_096 {
                rows.push(series(
                    "bare-scattered",
                    "Flamegate bare, all keys of the table in turn: cache misses",
                    Load::Scattered(keys),
                    200,
                ));
            }
            self.envoy(&Setup::flamegate(state, control.port, TICK_MS)?, keys, count, &rows)?;
        }
        Ok(())
    }

    /// Measures those of `rows` that the plan names on one Envoy.
    pub(super) fn envoy(
        &mut self,
        setup: &Setup,
        keys: u32,
        synced: Option<usize>,
        rows: &[Series],
    ) -> Result<()> {
        let wanted: Vec<_> = rows.iter().filter(|row| self.wants(row, keys)).collect();
        let Some(first) = wanted.first() else { return Ok(()) };
        let name = format!("{}-{keys}", first.id);
        let mut subject = Subject::envoy(&name, &self.folder, setup, synced)?;
        if keys > 0 {
            subject.must_refuse_unknown()?;
        }
        for row in wanted {
            self.measure(&mut subject, row, keys).with_context(|| format!("{} at {keys} keys", row.id))?;
        }
        Ok(())
    }

    pub(super) fn measure(&mut self, subject: &mut Subject, series: &Series, keys: u32) -> Result<()> {
        let measured = subject.measure(series.load, series.forged, series.status, self.plan.effort, None)?;
        self.put(series, keys, &measured, None)
    }

    pub(super) fn put(
        &mut self,
        series: &Series,
        keys: u32,
        measured: &Measured,
        server: Option<f64>,
    ) -> Result<()> {
        let baseline = match series.baseline() {
            None => measured.median(),
            Some(id) => self.results.row(id, 0).context("no baseline")?.worker,
        };
        let row = Row {
            id: series.id.to_owned(),
            what: series.what.to_owned(),
            keys,
            worker: measured.median().round(),
            spread: measured.spread().map(f64::round),
            process: measured.process_median().round(),
            locks: (measure::median(&measured.locks) * 100.0).round() / 100.0,
            server: server.map(f64::round),
            baseline: baseline.round(),
        };
        print_row(&row, self.last.elapsed());
        let stamp = self.stamp(&row.id).to_owned();
        self.results.note(row.step(), &stamp, self.last);
        self.results.put(row);
        self.last = Instant::now();
        self.plan.save.as_deref().map_or(Ok(()), |path| self.results.save_to(path))
    }
}

/// One line per row, as they come.
fn print_row(row: &Row, took: Duration) {
    println!(
        "{:<22} {:>9} keys {:>9.0} added (worker {:>9.0}, runs {:.0}..{:.0}; process {:.0}; locks {}), {:.0} s",
        row.id,
        row.keys,
        row.added(),
        row.worker,
        row.spread[0],
        row.spread[1],
        row.process,
        row.locks,
        took.as_secs_f64()
    );
}

/// The effort of the full report.
pub const FULL: Effort = Effort {
    requests: 2_000,
    warm_up: 1_000,
    runs: 3,
    idle: Duration::from_secs(4),
    late: Duration::from_millis(1_800),
};

/// The same with other numbers.
pub const fn effort(requests: u32, runs: u32) -> Effort {
    Effort { requests, runs, ..FULL }
}
