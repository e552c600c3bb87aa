//! Instructions per request of a proxy under callgrind: warm-up, an idle period, then runs of a fixed number of requests.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    callgrind::{Callgrind, Count},
    client::{Client, get},
    connection::{Connection, Downstream},
    envoy::{ENVIRONMENT, Ports, Setup},
    load::Load,
    process::{Process, root},
    rows::Series,
};

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Requests per run.
    pub requests: u32,
    /// Requests before the first run.
    pub warm_up: u32,
    /// Requests before each run, which count for nothing: for what is another thing after a rest.
    pub lead: u32,
    /// Runs.
    pub runs: u32,
    /// Length of the idle period.
    pub idle: Duration,
    /// How long after the last request its work may still be done: the filter asks for streams when they are a second old.
    pub late: Duration,
}

impl Effort {
    /// What of it a row needs. Only the filter has ticks and work that comes later, and of a refused request no more than the counts that the
    /// next tick hands over.
    pub fn of(self, row: &Series) -> Self {
        match row.rig.is_ours() {
            true if row.status == 200 => self,
            true => Self { late: self.late / 3, ..self },
            false => Self { idle: self.idle / 4, late: Duration::ZERO, ..self },
        }
    }
}

/// A proxy that is ready to be measured.
pub struct Subject {
    callgrind: Callgrind,
    counts: bool,
    idle: Option<Count>,
    /// Where requests go.
    port: u16,
    /// How.
    downstream: Downstream,
    /// Where its statistics are, when it is Envoy.
    admin: Option<u16>,
}

/// Instructions per request.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Of the busiest thread, for each run, sorted.
    pub worker: Vec<f64>,
    /// Of all threads, for each run, sorted.
    pub process: Vec<f64>,
    /// Mutexes that the busiest thread locked, for each run, sorted.
    pub locks: Vec<f64>,
    /// The busiest thread's dump of the last run, where that was asked for.
    pub dump: Option<String>,
}

/// How long a proxy under callgrind may take to start.
pub const START: Duration = Duration::from_secs(120);
/// How many times slower a program is there than alone, about: 500 ms are as 20.
const SLOWER: u32 = 25;
/// How long a million keys may take under it.
const SYNC: Duration = Duration::from_secs(900);

impl Subject {
    /// Starts Envoy under callgrind and waits until it serves `keys` keys (`None`: has none).
    pub fn envoy(
        name: &str,
        folder: &Path,
        setup: &Setup,
        keys: Option<usize>,
        by_address: bool,
    ) -> Result<Self> {
        Self::envoy_in(name, folder, setup, keys, by_address, ENVIRONMENT)
    }

    /// The same where time passes as much more slowly as a program is slower under callgrind (`slow_clock.c`): for what goes by the clock. What
    /// comes late, such as asking for streams that are a second old, is not among what is counted then.
    pub fn slow_envoy(
        name: &str,
        folder: &Path,
        setup: &Setup,
        keys: Option<usize>,
        by_address: bool,
    ) -> Result<Self> {
        let (source, library) = (root()?.join("tests/bench/src/slow_clock.c"), folder.join("slow_clock.so"));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source);
        ensure!(compiler.status().context("cc: run `make setup`")?.success(), "slow_clock.c");
        let (library, slower) = (library.display().to_string(), SLOWER.to_string());
        let slow = [("LD_PRELOAD", library.as_str()), ("SLOW_CLOCK", slower.as_str())];
        Self::envoy_in(name, folder, setup, keys, by_address, &[ENVIRONMENT, &slow].concat())
    }

    fn envoy_in(
        name: &str,
        folder: &Path,
        setup: &Setup,
        keys: Option<usize>,
        by_address: bool,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let (line, ports) = setup.write(name, folder)?;
        let mut callgrind = Callgrind::start(name, folder, &line, environment, by_address)?;
        wait_for_envoy(&mut callgrind.process, ports, keys)?;
        let (port, downstream, admin) = (ports.gateway, setup.downstream, Some(ports.admin));
        Ok(Self { callgrind, counts: false, idle: None, port, downstream, admin })
    }

    /// Starts another program under callgrind and waits until its port is open.
    pub fn program(name: &str, folder: &Path, line: &[String], port: u16) -> Result<Self> {
        let mut callgrind = Callgrind::start(name, folder, line, &[], false)?;
        let open = || Client::connect(port).is_ok();
        callgrind.process.wait_until("the port is open", START, open)?;
        Ok(Self { callgrind, counts: false, idle: None, port, downstream: Downstream::Http1, admin: None })
    }

    /// An error when it lets an unknown key through.
    pub fn must_refuse_unknown(&self) -> Result<()> {
        let mut connection = Connection::open(self.downstream, self.port)?;
        connection.expect(&Load::Unknown.request(0, ""), 401).context("an unknown key")
    }

    /// Measures `load`, sent to another port than the subject's own when requests reach it through something else.
    pub fn measure(
        &mut self,
        load: Load,
        forged: &str,
        status: u16,
        effort: Effort,
        through: Option<u16>,
    ) -> Result<Measured> {
        let open = || Connection::open(self.downstream, through.unwrap_or(self.port));
        let mut client = open()?;
        let mut next = 0;
        let mut send = |count: u32| -> Result<()> {
            let requests: Vec<_> = (next..next + count).map(|number| load.request(number, forged)).collect();
            next += count;
            requests.iter().try_for_each(|request| client.expect(request, status))
        };
        // The first request with a used-up limit is admitted, and a table reaches the workers with their next tick.
        settle(open, &load.request(0, forged), status)?;
        self.instrument()?;
        send(effort.warm_up.max(load.period()))?;
        std::thread::sleep(effort.late);
        let idle = match self.idle.clone() {
            Some(idle) => idle,
            None => self.measure_idle(effort.idle)?,
        };
        let (mut worker, mut process, mut locks) = (Vec::new(), Vec::new(), Vec::new());
        let mut dump = None;
        for _ in 0..effort.runs {
            send(effort.lead)?;
            self.callgrind.zero()?;
            send(effort.requests)?;
            std::thread::sleep(effort.late);
            let count = self.callgrind.count()?;
            let per_request = f64::from(effort.requests);
            worker.push(count.without_idle(&idle, Some(count.busiest())) / per_request);
            process.push(count.without_idle(&idle, None) / per_request);
            locks.push(count.locks[count.busiest()] as f64 / per_request);
            dump = count.dump;
        }
        worker.sort_by(f64::total_cmp);
        process.sort_by(f64::total_cmp);
        locks.sort_by(f64::total_cmp);
        Ok(Measured { worker, process, locks, dump })
    }

    fn instrument(&mut self) -> Result<()> {
        if !self.counts {
            self.callgrind.instrument()?;
            self.counts = true;
        }
        Ok(())
    }

    /// Sends requests whatever comes of them, until all that they need, on other threads, too, has been translated.
    pub fn warm_up(&mut self, load: Load, count: u32) -> Result<()> {
        let open = || Connection::open(self.downstream, self.port);
        settle(open, &load.request(0, ""), 200)?;
        let mut client = open()?;
        self.instrument()?;
        (0..count).try_for_each(|number| client.send(&load.request(number, "")).map(drop))
    }

    /// A counter of the filter's.
    pub fn counter(&self, name: &str) -> Result<u64> {
        counter(self.admin.context("no Envoy")?, name)
    }

    /// Measures the idle period again before the next row: what was measured meanwhile may have left something to do.
    pub fn forget_idle(&mut self) {
        self.idle = None;
    }

    fn measure_idle(&mut self, length: Duration) -> Result<Count> {
        self.callgrind.zero()?;
        std::thread::sleep(length);
        let idle = self.callgrind.count()?;
        self.idle = Some(idle.clone());
        Ok(idle)
    }
}

impl Measured {
    /// The median of the worker's runs.
    pub fn median(&self) -> f64 {
        median(&self.worker)
    }

    /// The median of the process's runs.
    pub fn process_median(&self) -> f64 {
        median(&self.process)
    }

    /// Smallest and largest of the worker's runs.
    pub fn spread(&self) -> [f64; 2] {
        [self.worker[0], self.worker[self.worker.len() - 1]]
    }
}

/// The median of sorted numbers.
pub fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Waits until Envoy is ready and its table holds `keys` keys.
pub fn wait_for_envoy(process: &mut Process, ports: Ports, keys: Option<usize>) -> Result<()> {
    process.wait_until("Envoy is ready", START, || get(ports.admin, "/ready").is_ok())?;
    let Some(keys) = keys else { return Ok(()) };
    process.wait_until("the table is there", SYNC, || keys_in(ports.admin).is_some_and(|found| found == keys))
}

/// The number of keys that a gateway says it has.
pub fn keys_in(admin: u16) -> Option<usize> {
    let text = get(admin, "/stats?filter=flamegate_keys").ok()?;
    text.lines().find_map(|line| line.strip_prefix("wasmcustom.flamegate_keys: ")?.trim().parse().ok())
}

/// A counter of the filter's in this gateway; 0 before it has counted.
pub fn counter(admin: u16, name: &str) -> Result<u64> {
    let text = get(admin, &format!("/stats?filter={name}"))?;
    let value = |line: &str| {
        Some(line.strip_prefix("wasmcustom.")?.strip_prefix(name)?.strip_prefix(": ")?.to_owned())
    };
    Ok(text.lines().find_map(value).map_or(Ok(0), |value| value.trim().parse())?)
}

/// An error when an unknown key gets through: what is compared has to do the job.
pub fn must_refuse_unknown(port: u16) -> Result<()> {
    Client::connect(port)?.expect(&Load::Unknown.request(0, ""), 401).context("an unknown key")
}

/// Sends `request` until it is answered with `status`.
fn settle(open: impl Fn() -> Result<Connection>, request: &[u8], status: u16) -> Result<()> {
    let mut last = 0;
    for _ in 0..200 {
        last = open()?.send(request)?;
        if last == status {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(anyhow::anyhow!("never {status}, at last {last}")).context("the first request")
}
