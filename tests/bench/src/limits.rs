//! `flamegate-bench limits`: one limit over three gateways, by Flamegate and by what else there is, on the same engine in the same run: what is
//! admitted beside one ideal token bucket, in calm, while the engine begins again with nothing and while it fails over with writes lost; what
//! a cold request waits; how often the engine is asked. All of it from the clients' own records.

mod cold;
pub mod engine;
pub mod ideal;
pub mod load;
pub mod streams;
pub mod ways;

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::{process::new_folder, upstream};

use cold::Cold;
use engine::Engine;
use ideal::{Bucket, Seen};
use load::Dealt;
use streams::{LIMITS, Rate, Use};
use ways::{Site, Way};

/// What was seen of one limit by one way under one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// By which way.
    pub way: Way,
    /// The limit.
    pub limit: String,
    /// What happened meanwhile.
    pub event: Event,
    /// How the load was dealt out.
    pub dealt: Dealt,
    /// Requests sent, in times of the limit: less than three where the machine could not send more.
    pub offered: f64,
    /// What was admitted, in times of what one ideal bucket would have admitted of the same requests.
    pub admitted: f64,
    /// The most that any interval admitted above the bucket, in requests.
    pub above: f64,
    /// The bucket's size.
    pub burst: f64,
    /// Answers that say neither yes nor 429, in a thousand.
    pub failed: f64,
    /// Calls per 1,000 requests of what counts for all gateways, where there is something and nothing else asked it.
    pub calls: Option<f64>,
}

/// What happens to what counts for all gateways: an engine, or a control plane's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Nothing.
    Calm,
    /// It ends, and begins again with nothing.
    Restart,
    /// Its primary dies, and a replica that has not heard of the last writes takes over.
    FailOver,
}

/// All that was seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Of each limit.
    pub rows: Vec<Row>,
    /// Of requests with a key that nobody has used before.
    pub cold: Vec<Cold>,
}

/// When the engine's trouble begins, and how long requests are sent.
const TROUBLE: Duration = Duration::from_secs(2);
const RESTARTS: Duration = Duration::from_secs(5);
const FAILS_OVER: Duration = Duration::from_secs(8);

/// Measures everything (some six minutes), by the ways whose name in charts contains `only`, and prints what was seen.
pub fn run(only: &str) -> Result<Outcome> {
    let ways = || Way::ALL.into_iter().filter(|way| way.short().contains(only));
    let run = Run { folder: new_folder("limits")?, upstream: upstream::start()? };
    let mut outcome = Outcome::default();
    let mut sites = Vec::new();
    for way in ways() {
        let engine = way.has_engine().then(Engine::alone);
        sites.push((way, Site::start(way, engine, run.upstream, &run.folder)?));
    }
    run.cold(&sites, &mut outcome)?;
    for (way, site) in sites.iter().filter(|(way, _)| !way.is_for_failures()) {
        fast_limits(*way, site, &mut outcome)?;
    }
    slow_limits(&sites, &mut outcome)?;
    for (way, mut site) in sites.into_iter().filter(|(way, _)| way.can_lose()) {
        run.trouble(way, &mut site, Event::Restart, &mut outcome)?;
    }
    for way in ways().filter(|way| way.has_engine()) {
        let engine = Engine::guarded(&run.folder)?;
        let mut site = Site::start(way, Some(engine), run.upstream, &run.folder)?;
        run.trouble(way, &mut site, Event::FailOver, &mut outcome)?;
    }
    Ok(outcome)
}

struct Run {
    folder: PathBuf,
    upstream: u16,
}

/// The limit whose window is a minute, by all ways and with both loads at the same time: they send a request every other second.
fn slow_limits(sites: &[(Way, Site)], outcome: &mut Outcome) -> Result<()> {
    for rate in LIMITS.iter().filter(|rate| rate.seconds > 1) {
        let calm = sites.iter().filter(|(way, _)| !way.is_for_failures());
        let running: Vec<_> = calm
            .flat_map(|(way, site)| [Dealt::Askew, Dealt::Evenly].map(|dealt| (*way, site.gateways, dealt)))
            .map(|(way, gateways, dealt)| (way, dealt, sent(rate, Use::Calm(dealt), gateways, rate.calm())))
            .collect();
        for (way, dealt, sent) in running {
            outcome.put(Row::new(way, rate, Event::Calm, dealt, &joined(sent)?, rate.calm()));
        }
    }
    Ok(())
}

/// The others, one after the other.
fn fast_limits(way: Way, site: &Site, outcome: &mut Outcome) -> Result<()> {
    let calls = || site.calls(way);
    for rate in LIMITS.iter().filter(|rate| rate.seconds == 1) {
        for dealt in [Dealt::Askew, Dealt::Evenly] {
            let before = calls()?;
            let seen = joined(sent(rate, Use::Calm(dealt), site.gateways, rate.calm()))?;
            let asked = calls()?.zip(before).map(|(after, before)| (after - before) as f64);
            let mut row = Row::new(way, rate, Event::Calm, dealt, &seen, rate.calm());
            row.calls = asked.map(|asked| asked * 1_000.0 / seen.len().max(1) as f64);
            outcome.put(row);
        }
    }
    Ok(())
}

impl Run {
    fn cold(&self, sites: &[(Way, Site)], outcome: &mut Outcome) -> Result<()> {
        for (way, site) in sites.iter().filter(|(way, _)| !way.is_for_failures()) {
            let cold = Cold::measure(*way, site.gateways[0], self.upstream, &self.folder)?;
            println!("{cold}");
            outcome.cold.push(cold);
        }
        Ok(())
    }

    /// All limits but the largest at once, while something happens to the engine.
    fn trouble(&self, way: Way, site: &mut Site, event: Event, outcome: &mut Outcome) -> Result<()> {
        let (of, length) = match event {
            Event::FailOver => (Use::FailOver, FAILS_OVER),
            _ => (Use::Restart, RESTARTS),
        };
        let rates = &LIMITS[..3];
        let running: Vec<_> = rates.iter().map(|rate| sent(rate, of, site.gateways, length)).collect();
        thread::sleep(TROUBLE);
        match (event, &mut site.engine) {
            (Event::FailOver, Some(engine)) => engine.fail_over()?,
            _ => site.restart_empty()?,
        }
        for (rate, sent) in rates.iter().zip(running) {
            outcome.put(Row::new(way, rate, event, Dealt::Askew, &joined(sent)?, length));
        }
        Ok(())
    }
}

/// Requests on their way.
type Sent = thread::JoinHandle<Result<Vec<Seen>>>;

fn sent(rate: &Rate, of: Use, gateways: [u16; 3], length: Duration) -> Sent {
    let stream = streams::stream(rate, of);
    thread::spawn(move || load::send(&stream, gateways, Instant::now(), length))
}

fn joined(sent: Sent) -> Result<Vec<Seen>> {
    sent.join().map_err(|_| anyhow!("clients panicked"))?
}

impl Outcome {
    fn put(&mut self, row: Row) {
        println!("{row}");
        self.rows.push(row);
    }
}

impl Row {
    fn new(way: Way, rate: &Rate, event: Event, dealt: Dealt, seen: &[Seen], length: Duration) -> Self {
        let bucket = Bucket { burst: f64::from(rate.requests), rate: rate.per_second() };
        let count = |is: &dyn Fn(&Seen) -> bool| seen.iter().filter(|one| is(one)).count() as f64;
        let sent = seen.len().max(1) as f64;
        Self {
            way,
            limit: rate.name(),
            event,
            dealt,
            offered: sent / (bucket.rate * length.as_secs_f64()),
            admitted: count(&Seen::is_admitted) / (bucket.would_admit(seen) as f64).max(1.0),
            above: bucket.most_above(seen),
            burst: bucket.burst,
            failed: count(&|one| !one.is_admitted() && one.status != 429) * 1_000.0 / sent,
            calls: None,
        }
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            to,
            "{:<24} {:<9} {:?} {:?}: {:.2} × sent, {:.3} of the ideal admitted, {:.1} above a bucket of {:.0}, {:.1} ‰ failed",
            self.way.short(),
            self.limit,
            self.event,
            self.dealt,
            self.offered,
            self.admitted,
            self.above,
            self.burst,
            self.failed,
        )?;
        self.calls.map_or(Ok(()), |calls| write!(to, ", {calls:.1} calls per 1,000"))
    }
}
