//! `flamegate-bench instructions`: what each way to check an API key adds to a request, in instructions.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    client::Client,
    control::Control,
    envoy::{Flamegate, Setup, table},
    haproxy,
    load::Load,
    measure::{self, Effort, Measured, START, Subject},
    process::{Process, artifact, new_folder},
    results::{Results, Row},
    rows::{self, Series, series},
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
    /// Whether the rows are written to the committed results.
    pub save: bool,
}

/// The tick of the measured filter: the longest that it takes. A program under callgrind is about fifty times slower, and
/// as many requests should come between two ticks as in a proxy that is not watched, where one comes every 20 ms.
const TICK_MS: u32 = 500;
/// Beyond this, Envoy's configuration with all keys in it takes longer to load than the measurement.
const MOST_NATIVE_KEYS: u32 = 100_000;
/// The same for a Lua script, which every worker has a copy of.
const MOST_LUA_KEYS: u32 = 1_000;

/// A run over all that the plan names; rows are put into `results` and printed as they come.
pub struct Instructions<'a> {
    plan: &'a Plan,
    results: &'a mut Results,
    folder: PathBuf,
}

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
            self.native(keys)?;
            self.ext_authz(keys)?;
            self.haproxy(keys)?;
            self.flamegate(keys)?;
        }
        Ok(())
    }

    fn baselines(&mut self) -> Result<()> {
        let known = rows::BASELINES.iter().all(|series| self.results.row(series.id, 0).is_some());
        if known && !rows::BASELINES.iter().any(|row| self.wants(row)) {
            return Ok(());
        }
        let mut subject = Subject::envoy("none", &self.folder, &Setup::none(), None)?;
        for series in rows::BASELINES {
            self.measure(&mut subject, &series, 0)?;
        }
        Ok(())
    }

    fn empty_filter(&mut self) -> Result<()> {
        let wasm = artifact("target/bench/empty-filter.wasm", "make bench-build")?;
        self.envoy(&Setup::empty_filter(&wasm), 0, None, &[rows::EMPTY])
    }

    /// What Envoy itself offers. Its table is part of the configuration, which sets an end to it.
    fn native(&mut self, keys: u32) -> Result<()> {
        if keys <= MOST_NATIVE_KEYS {
            self.envoy(&Setup::api_key_auth(keys, false), keys, None, &[rows::API_KEY_AUTH])?;
            self.envoy(&Setup::api_key_auth(keys, true), keys, None, &[rows::API_KEY_AUTH_LIMITED])?;
        }
        if keys <= MOST_LUA_KEYS {
            self.envoy(&Setup::lua(keys), keys, None, &[rows::LUA])?;
        }
        Ok(())
    }

    /// Envoy's side and the server's, one after the other: each is slow under callgrind while the other is not.
    fn ext_authz(&mut self, keys: u32) -> Result<()> {
        for (grpc, row) in [(false, rows::EXT_AUTHZ[0]), (true, rows::EXT_AUTHZ[1])] {
            if !self.wants(&row) {
                continue;
            }
            let (line, port) = rows::authz_server(grpc, keys)?;
            let setup = Setup::ext_authz(grpc, port);
            let proxy = {
                let mut server = Process::start("authz", &self.folder, &line, &[])?;
                server.wait_until("the server listens", START, || Client::connect(port).is_ok())?;
                let mut subject = Subject::envoy(row.id, &self.folder, &setup, None)?;
                subject.must_refuse_unknown()?;
                subject.measure(row.load, "", 200, self.plan.effort, None)?
            };
            let mut subject = Subject::program("authz", &self.folder, &line, port)?;
            let (envoy_line, ports) = setup.write(row.id, &self.folder)?;
            let mut envoy = Process::start(row.id, &self.folder, &envoy_line, &[])?;
            measure::wait_for_envoy(&mut envoy, ports, None)?;
            let server = subject.measure(row.load, "", 200, self.plan.effort, Some(ports.gateway))?;
            self.put(&row, keys, &proxy, Some(server.process_median()))?;
        }
        Ok(())
    }

    fn haproxy(&mut self, keys: u32) -> Result<()> {
        for (row, table) in [(rows::HAPROXY[0], None), (rows::HAPROXY[1], Some(keys))] {
            let shown = table.unwrap_or(0);
            let known = table.is_none() && self.results.row(row.id, 0).is_some();
            if known || !self.wants(&rows::HAPROXY[1]) {
                continue;
            }
            let (line, port) = haproxy::write(row.id, &self.folder, table)?;
            let mut subject = Subject::program(row.id, &self.folder, &line, port)?;
            if table.is_some() {
                subject.must_refuse_unknown()?;
            }
            self.measure(&mut subject, &row, shown)?;
        }
        Ok(())
    }

    fn wants(&self, row: &Series) -> bool {
        let matches =
            |name: &String| if self.plan.exact { row.id == name } else { row.id.contains(name.as_str()) };
        self.plan.only.is_empty() || self.plan.only.iter().any(matches)
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
    fn envoy(&mut self, setup: &Setup, keys: u32, synced: Option<usize>, rows: &[Series]) -> Result<()> {
        let wanted: Vec<_> = rows.iter().filter(|row| self.wants(row)).collect();
        let Some(first) = wanted.first() else { return Ok(()) };
        let name = format!("{}-{keys}", first.id);
        let mut subject = Subject::envoy(&name, &self.folder, setup, synced)?;
        if first.id != rows::EMPTY.id {
            subject.must_refuse_unknown()?;
        }
        for row in wanted {
            self.measure(&mut subject, row, keys).with_context(|| format!("{} at {keys} keys", row.id))?;
        }
        Ok(())
    }

    fn measure(&mut self, subject: &mut Subject, series: &Series, keys: u32) -> Result<()> {
        let measured = subject.measure(series.load, series.forged, series.status, self.plan.effort, None)?;
        self.put(series, keys, &measured, None)
    }

    fn put(&mut self, series: &Series, keys: u32, measured: &Measured, server: Option<f64>) -> Result<()> {
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
        print_row(&row);
        self.results.put(row);
        if self.plan.save { self.results.save() } else { Ok(()) }
    }
}

/// One line per row, as they come.
fn print_row(row: &Row) {
    println!(
        "{:<18} {:>9} keys {:>9.0} added (worker {:>9.0}, runs {:.0}..{:.0}; process {:.0}; locks {})",
        row.id,
        row.keys,
        row.added(),
        row.worker,
        row.spread[0],
        row.spread[1],
        row.process,
        row.locks
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
