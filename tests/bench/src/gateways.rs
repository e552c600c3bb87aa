//! `flamegate-bench gateways`: many gateways on a real control plane at once, each with a poll of its own over loopback,
//! and revocations: how long until all of them know, and what that costs the control plane.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use flamegate::contract::key::KeyHash;
use flamegate::contract::page::{ChangesQuery, Page};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    client::Client,
    control::TOKEN,
    posting::{self, Posters},
    probe::Waits,
    process::{Process, new_folder},
    real::{self, ADMIN_TOKEN, Real},
};

/// What was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Gateways connected.
    pub gateways: usize,
    /// Keys in the table of each.
    pub keys: u32,
    /// Revocations, one after the other.
    pub revocations: usize,
    /// From the call that revokes to each gateway's knowing, in milliseconds; all gateways and revocations together.
    pub known: Waits,
    /// The same until the last gateway knows.
    pub all_know: Waits,
    /// Processor time of the control plane per revocation and gateway, in microseconds.
    pub cpu_us: f64,
    /// Resident bytes of the control plane per connected gateway.
    pub resident_bytes_per_gateway: f64,
    /// The same while they post what keys are used for.
    #[serde(default)]
    pub posting: Option<posting::Outcome>,
}

/// Gateways that poll, each in a thread.
pub struct Crowd {
    board: Arc<Board>,
    /// Revocations that all of them know of.
    rounds: usize,
}

/// When each gateway learned of each revocation.
struct Board {
    learned: Vec<Mutex<Vec<Instant>>>,
    polling: AtomicUsize,
    /// The control plane is about to stop: nobody needs to hear that connections end.
    over: AtomicBool,
}

const KEYS: u32 = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);
/// The filter's first retry comes after half of `retry_ms` to all of it (default 200).
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// Clock ticks of `/proc` per second (USER_HZ on Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// One control plane on SQLite: connects `gateways` gateways, makes `revocations` and prints what was seen.
pub fn run(gateways: usize, revocations: usize) -> Result<Outcome> {
    let folder = new_folder("gateways")?;
    let real = real::prepare(&folder, KEYS)?;
    let servers = [real.start(&folder)?];
    let (outcome, _) = measure(&[&real], &servers, gateways, revocations)?;
    outcome.print();
    Ok(outcome)
}

/// The same on control planes that run; the gateways are shared out among them, and so are the revocations. They go on polling.
pub fn measure(
    reals: &[&Real],
    servers: &[Process],
    gateways: usize,
    revocations: usize,
) -> Result<(Outcome, Crowd)> {
    let resident = || -> Result<u64> { servers.iter().map(|server| server.memory("VmRSS")).sum() };
    let cpu = || -> Result<f64> { servers.iter().map(Process::processor_time).sum() };
    let ids = (0..2 * revocations).map(|_| create_key(reals[0])).collect::<Result<Vec<_>>>()?;
    let before = resident()?;
    let mut crowd = Crowd::gather(reals.iter().map(|real| real.port).collect(), gateways)?;
    let grown = resident()?.saturating_sub(before);
    let ports: Vec<u16> = reals.iter().map(|real| real.port).collect();
    let posters = Posters::start(&ports, gateways, &keys_of_table(ports[0])?)?;
    // Rounds with posts and without them in turn: whatever else the machine does, both meet it.
    let (mut seen, mut used, mut posting, mut posts) = ([Round::default(), Round::default()], 0.0, 0.0, 0);
    for (round, id) in ids.iter().enumerate() {
        let with_posts = round % 2;
        posters.set(with_posts == 1);
        let (began, before, started) = (Instant::now(), posters.acknowledged()?, cpu()?);
        // All of them are waiting again, and the posts have their pace.
        thread::sleep(Duration::from_millis(300));
        let waits = crowd.learn(|| revoke(reals[round / 2 % reals.len()], id))?;
        if with_posts == 1 {
            posts += posters.acknowledged()? - before;
            posting += began.elapsed().as_secs_f64();
        } else {
            used += (cpu()? - started) / TICKS_PER_SECOND * 1e6;
        }
        seen[with_posts].take(waits);
    }
    drop(posters);
    let [without, with] = seen.map(Round::waits);
    let ([known, all_know], with) = (without?, with?);
    let outcome = Outcome {
        gateways,
        keys: KEYS,
        revocations,
        known,
        all_know,
        cpu_us: used / (revocations * gateways) as f64,
        resident_bytes_per_gateway: grown as f64 / gateways as f64,
        posting: Some(posting::Outcome::new(posts as f64 / posting, with, &all_know)),
    };
    Ok((outcome, crowd))
}

/// Waits of revocations of one kind.
#[derive(Default)]
struct Round {
    known: Vec<f64>,
    all_know: Vec<f64>,
}

impl Round {
    fn take(&mut self, waits: Vec<f64>) {
        self.all_know.push(waits.iter().copied().fold(0.0, f64::max));
        self.known.extend(waits);
    }

    /// Each gateway's, and the last one's.
    fn waits(self) -> Result<[Waits; 2]> {
        let known = Waits::new(self.known).context("no gateways")?;
        Ok([known, Waits::new(self.all_know).context("no revocations")?])
    }
}

/// Ids of the keys that gateways have.
fn keys_of_table(port: u16) -> Result<Vec<String>> {
    let query = ChangesQuery { gateway: "bench-keys".to_owned(), limit: 5_000, ..ChangesQuery::default() };
    let page = fetch(&mut Client::connect(port)?, &query)?;
    Ok(page.upserts.into_iter().map(|upsert| upsert.record.id).collect())
}

impl Crowd {
    /// Starts the gateways and waits until each has the table and waits for changes.
    pub fn gather(ports: Vec<u16>, gateways: usize) -> Result<Self> {
        let learned = (0..gateways).map(|_| Mutex::default()).collect();
        let board = Arc::new(Board { learned, polling: AtomicUsize::new(0), over: AtomicBool::new(false) });
        let ports: Arc<[u16]> = ports.into();
        for number in 0..gateways {
            let (board, ports) = (Arc::clone(&board), Arc::clone(&ports));
            let gateway = move || follow(&ports, number, &board);
            thread::Builder::new().stack_size(256 * 1024).spawn(gateway)?;
        }
        let started = Instant::now();
        while board.polling.load(Ordering::Relaxed) < gateways {
            ensure!(started.elapsed() < PATIENCE, "not all gateways have connected");
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_secs(1));
        Ok(Self { board, rounds: 0 })
    }

    /// Does something of which all gateways learn; for each the milliseconds until it had.
    pub fn learn(&mut self, change: impl FnOnce() -> Result<()>) -> Result<Vec<f64>> {
        let (round, started) = (self.rounds, Instant::now());
        change()?;
        self.board.wait(|learned| learned > round)?;
        self.rounds += 1;
        Ok(self.board.when(round).map(|at| (at - started).as_secs_f64() * 1e3).collect())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.board.over.store(true, Ordering::Relaxed);
    }
}

/// One gateway: polls for ever, and goes to the next control plane when one is away, as Envoy's cluster does.
fn follow(ports: &[u16], number: usize, board: &Board) {
    let mut query = ChangesQuery {
        gateway: format!("bench-{number}"),
        limit: 5_000,
        wait: 25,
        ..ChangesQuery::default()
    };
    for attempt in number.. {
        let Some(port) = ports.get(attempt % ports.len()) else { return };
        if let Err(error) = poll(*port, number, &mut query, board) {
            if board.over.load(Ordering::Relaxed) {
                return;
            }
            if ports.len() == 1 {
                eprintln!("gateway {number}: {error:#}");
            }
        }
        let jitter = u32::try_from(number * 7_919 % 100).unwrap_or_default();
        thread::sleep(FIRST_RETRY + FIRST_RETRY * jitter / 100);
    }
}

/// Polls on one connection until it breaks.
fn poll(port: u16, number: usize, query: &mut ChangesQuery, board: &Board) -> Result<()> {
    let mut client = Client::connect(port)?;
    loop {
        let page = fetch(&mut client, query)?;
        if !page.removals.is_empty() {
            board.learned(number).push(Instant::now());
        }
        query.cursor = next_cursor(&page);
        if query.cursor.is_none() {
            if page.reset {
                board.polling.fetch_add(1, Ordering::Relaxed);
            }
            query.after = page.revision;
            query.epoch = Some(page.epoch);
        }
    }
}

fn next_cursor(page: &Page) -> Option<KeyHash> {
    page.upserts.last().filter(|_| page.reset && page.more).map(|last| last.hash.0)
}

fn fetch(client: &mut Client, query: &ChangesQuery) -> Result<Page> {
    let request =
        format!("GET {} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\n\r\n", query.to_path());
    let answer = client.send(request.as_bytes())?;
    ensure!(answer.status == 200, "{}", answer.head);
    Page::parse(answer.body).map_err(anyhow::Error::msg)
}

/// Makes a key; its id.
pub fn create_key(real: &Real) -> Result<String> {
    let body = json!({"workspace": "bench", "name": "bench", "environment": "live"});
    let answer = call(real, "POST", "/v1/api-keys", Some(&body))?;
    Ok(answer["data"]["id"].as_str().context("no id")?.to_owned())
}

/// Revokes a key.
pub fn revoke(real: &Real, id: &str) -> Result<()> {
    call(real, "POST", &format!("/v1/api-keys/{id}/revoke"), None).map(drop)
}

/// Calls the API of one control plane.
pub fn call(real: &Real, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n{kind}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = Client::connect(real.port)?;
    let answer = client.send(request.as_bytes())?;
    ensure!((200..300).contains(&answer.status), "{method} {path}: {}", answer.head);
    Ok(serde_json::from_slice(answer.body)?)
}

impl Board {
    fn learned(&self, number: usize) -> std::sync::MutexGuard<'_, Vec<Instant>> {
        self.learned[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the number of revocations that each gateway has learned of is right.
    fn wait(&self, right: impl Fn(usize) -> bool) -> Result<()> {
        let started = Instant::now();
        while !(0..self.learned.len()).all(|number| right(self.learned(number).len())) {
            ensure!(started.elapsed() < PATIENCE, "not all gateways have learned of it");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn when(&self, round: usize) -> impl Iterator<Item = Instant> + '_ {
        (0..self.learned.len()).map(move |number| self.learned(number)[round])
    }
}

impl Outcome {
    /// For people.
    pub fn print(&self) {
        println!(
            "{} gateways, {} keys, {} revocations one by one",
            self.gateways, self.keys, self.revocations
        );
        println!("  a gateway knows    {}", self.known);
        println!("  all gateways know  {}", self.all_know);
        println!("  control plane      {:.1} µs of processor time per gateway and revocation", self.cpu_us);
        println!(
            "                     {:.1} KiB resident per gateway",
            self.resident_bytes_per_gateway / 1024.0
        );
        if let Some(posting) = &self.posting {
            posting.print();
        }
    }
}
