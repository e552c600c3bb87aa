//! `flamegate-bench instructions`: what each way to check an API key adds to a request, in instructions.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    control::Control,
    envoy::{Flamegate, Setup, table},
    keys::{Key, Kind},
    measure::{self, Effort, Measured, Subject},
    peers,
    process::{artifact, free_port, new_folder},
    real,
    results::{Results, Row, step},
    rows::{ROWS, Rig, Series, USUAL_KEYS, Way},
    stamp::Stamps,
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
    /// Whether the call graph is kept, too.
    pub by_address: bool,
}

/// The tick of the measured filter: the longest that it takes. A program under callgrind is about fifty times slower, and
/// as many requests should come between two ticks as in a proxy that is not watched, where one comes every 20 ms.
const TICK_MS: u32 = 500;

/// Requests until tokens are lent and taken by the hundred.
const LEAD: u32 = 500;
/// Requests until a fleet limit is in steady use.
const WARM_UP: u32 = 10_000;
/// The same where time passes more slowly.
const SLOW_TICK_MS: u32 = 20;

/// Requests that a fleet limit did not decide by tokens.
const ALONE: &str = "flamegate_fleet_alone_total";

/// A run over all that the plan names; rows are put into `results` and printed as they come.
pub struct Instructions<'a> {
    pub(super) plan: &'a Plan,
    pub(super) results: &'a mut Results,
    pub(super) folder: PathBuf,
    stamps: Stamps,
    /// The call graphs, by row.
    pub dumps: BTreeMap<String, String>,
    /// When the last row was there.
    last: Instant,
}

impl<'a> Instructions<'a> {
    /// Prepares a run.
    pub fn new(plan: &'a Plan, results: &'a mut Results) -> Result<Self> {
        let stamps = Stamps::now()?;
        Ok(Self {
            plan,
            results,
            folder: new_folder("instructions")?,
            stamps,
            dumps: BTreeMap::new(),
            last: Instant::now(),
        })
    }

    /// Measures everything: for each size of table the rows of each setup on one process. All states of the filter share one where only
    /// the size of the table is the question: a million keys are synced once.
    pub fn run(&mut self) -> Result<()> {
        for keys in std::iter::once(0).chain(self.plan.keys.clone()) {
            let mut control = None;
            let share = |a: &Series, b: &Series| keys != USUAL_KEYS && a.rig.is_ours() && b.rig.is_ours();
            for rows in ROWS.chunk_by(|a, b| a.rig == b.rig || share(a, b)) {
                let wanted: Vec<_> = rows.iter().filter(|row| self.wants(row, keys)).collect();
                if !wanted.is_empty() {
                    let rig = format!("{:?} with {keys} keys", wanted[0].rig);
                    self.rig(&wanted, keys, &mut control).context(rig)?;
                }
            }
        }
        Ok(())
    }

    /// True for a row that the plan names, or that one that it names is compared with, and that is not there yet.
    fn wants(&self, row: &Series, keys: u32) -> bool {
        let there = self.plan.resume && self.results.has(&step(row.id, keys), self.stamp(row.rig));
        row.is_at(keys) && !there && (self.names(row) || self.needs(row))
    }

    fn names(&self, row: &Series) -> bool {
        let matches =
            |name: &String| if self.plan.exact { row.id == name } else { row.id.contains(name.as_str()) };
        self.plan.only.is_empty() || self.plan.only.iter().any(matches)
    }

    /// True for a proxy alone that is not there and that a row needs which the plan names.
    fn needs(&self, base: &Series) -> bool {
        let compared = |row: &&Series| row.baseline() == Some(base.id) && self.names(row);
        self.results.row(base.id, 0).is_none()
            && ROWS
                .iter()
                .filter(compared)
                .any(|row| std::iter::once(&0).chain(&self.plan.keys).any(|keys| row.is_at(*keys)))
    }

    fn stamp(&self, rig: Rig) -> &str {
        self.stamps.of(rig.part())
    }

    /// Measures rows of one setup. The keys' control plane is started for the first that needs one.
    fn rig(&mut self, rows: &[&Series], keys: u32, control: &mut Option<Control>) -> Result<()> {
        let (first, folder) = (rows[0], self.folder.clone());
        let name = format!("{}-{keys}", first.id);
        let mut ports = Vec::new();
        let mut subject = match first.rig {
            // Two programs take part.
            Rig::ExtAuthz { .. } => return rows.iter().try_for_each(|row| self.ext_authz(row, keys)),
            Rig::RateLimit { .. } => return rows.iter().try_for_each(|row| self.rate_limit_service(row)),
            Rig::Fleet => return self.fleet(rows, keys),
            Rig::HaproxyAlone | Rig::Haproxy { .. } => self.haproxy(first.rig, &name, keys)?,
            Rig::Flamegate(..) => {
                if control.is_none() {
                    *control = Some(Control::start(table(keys))?);
                }
                let control = control.as_ref().context("it was started")?;
                let mut setup = ours(first.rig, control)?;
                for rig in rows.chunk_by(|a, b| a.rig == b.rig).skip(1).map(|rows| rows[0].rig) {
                    let port = free_port();
                    setup.beside.push((port, ours(rig, control)?));
                    ports.push((rig, port));
                }
                let count = Some(control.keys().all().len());
                Subject::envoy(&name, &folder, &setup, count, self.plan.by_address)?
            }
            rig => {
                let setup = reached(without_control(rig, keys)?, rig.way())?;
                Subject::envoy(&name, &folder, &setup, None, false)?
            }
        };
        if keys > 0 {
            subject.must_refuse_unknown()?;
        }
        // What scatters leaves much to do for later ticks, of others in the same process, too.
        let (last, first): (Vec<&Series>, Vec<&Series>) = rows.iter().partition(|row| row.scatters());
        let mut rig = rows[0].rig;
        for row in first.into_iter().chain(last) {
            if std::mem::replace(&mut rig, row.rig) != row.rig {
                subject.forget_idle();
            }
            let port = ports.iter().find(|(rig, _)| *rig == row.rig).map(|(_, port)| *port);
            let effort = self.plan.effort.of(row);
            let measured = subject.measure(row.load(keys), row.forged, row.status, effort, port);
            let mut measured = measured.context(row.id)?;
            self.put(row, keys, &measured, None)?;
            self.dumps.extend(measured.dump.take().map(|dump| (row.id.to_owned(), dump)));
        }
        Ok(())
    }

    /// Rows of limits that a control plane counts with us: a real one, which is not counted itself.
    fn fleet(&mut self, rows: &[&Series], keys: u32) -> Result<()> {
        let name = format!("{}-{keys}", rows[0].id);
        let real = real::at(self.folder.join(format!("{name}.db")).display().to_string())?;
        let file = self.folder.join(format!("{name}.jsonl"));
        let limited = [Kind::Fleet, Kind::Gateway].map(|kind| Key { kind, number: 0 });
        let all: Vec<Key> = (0..keys).map(Key::ordinary).chain(limited).collect();
        real::write_keys(&file, all.iter().map(|key| (*key, key.record().limits)))?;
        let _server = real.start_lending(&self.folder)?;
        real.import(&file)?;
        let setup = Setup::flamegate(Flamegate::Patient, real.port, SLOW_TICK_MS)?;
        let by_address = self.plan.by_address;
        let mut subject = Subject::slow_envoy(&name, &self.folder, &setup, Some(all.len()), by_address)?;
        subject.must_refuse_unknown()?;
        for row in rows {
            // The idle period is that of the first: what ticks do for a fleet limit is its own.
            // A limit in steady use; what comes later comes 25 times later here, and counts for nothing.
            let effort = Effort { lead: LEAD, late: Duration::ZERO, ..self.plan.effort };
            let load = row.load(keys);
            subject.warm_up(load, WARM_UP)?;
            let alone = subject.counter(ALONE)?;
            let mut measured = subject.measure(load, row.forged, row.status, effort, None).context(row.id)?;
            ensure!(subject.counter(ALONE)? == alone, "{}: tokens did not come in time", row.id);
            self.put(row, keys, &measured, None)?;
            self.dumps.extend(measured.dump.take().map(|dump| (row.id.to_owned(), dump)));
        }
        Ok(())
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
        let stamp = self.stamp(series.rig).to_owned();
        self.results.note(row.step(), &stamp, self.last);
        self.results.put(row);
        self.last = Instant::now();
        self.plan.save.as_deref().map_or(Ok(()), |path| self.results.save_to(path))
    }
}

/// The filter in one state.
fn ours(rig: Rig, control: &Control) -> Result<Setup> {
    let Rig::Flamegate(state, way) = rig else { bail!("{rig:?} is none of ours") };
    reached(Setup::flamegate(state, control.port, TICK_MS)?, way)
}

/// The setups that need no control plane.
fn without_control(rig: Rig, keys: u32) -> Result<Setup> {
    Ok(match rig {
        Rig::Guard(guard) => Setup::guard_alone(guard),
        Rig::Empty => Setup::empty_filter(&artifact("target/bench/empty-filter.wasm", "make bench-build")?),
        Rig::ApiKeyAuth { limited, safe } => Setup::api_key_auth(keys, limited, safe),
        Rig::Lua { safe } => Setup::lua(keys, safe),
        Rig::LocalShare => peers::local_share(),
        _ => Setup::none(),
    })
}

/// A setup that is reached by this way.
fn reached(setup: Setup, way: Way) -> Result<Setup> {
    let upstream = if way == Way::Upstream { Some(upstream::start()?) } else { None };
    Ok(Setup { downstream: way.downstream(), upstream, ..setup })
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
    requests: 1_000,
    warm_up: 500,
    lead: 0,
    runs: 3,
    idle: Duration::from_secs(4),
    late: Duration::from_millis(1_800),
};

/// The same with other numbers.
pub const fn effort(requests: u32, runs: u32) -> Effort {
    Effort { requests, runs, ..FULL }
}
