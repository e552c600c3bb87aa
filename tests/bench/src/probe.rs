//! The longest stall of a thread, seen from outside: something asks it every millisecond and notes how long it waits, and how
//! much of that wait the thread was running. The rest it waited for a processor, which is the machine's doing.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::client::Client;

/// A probe that runs until it is asked what it saw.
pub struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<[f64; 2]>>>,
}

/// What a probe saw.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Waits for an answer.
    pub wait: Waits,
    /// As much of them as the thread was busy; at most a millisecond too much.
    pub busy: Waits,
}

/// Waiting times in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Waits {
    /// How many requests were sent.
    pub count: usize,
    /// The usual one.
    pub p50: f64,
    /// One in a hundred is longer.
    pub p99: f64,
    /// One in a thousand is longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Probe {
    /// Asks `path` on `port`, whatever the answer is, every millisecond; `threads` (of which one answers) have their
    /// running times in these files of `/proc`.
    pub fn start(port: u16, path: &str, threads: Vec<PathBuf>) -> Result<Self> {
        let mut client = Client::connect(port)?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut waits = Vec::new();
            let mut before = running(&threads)?;
            while !stopped.load(Ordering::Relaxed) {
                let sent = Instant::now();
                client.send(&request)?;
                let wait = sent.elapsed();
                thread::sleep(Duration::from_millis(1).saturating_sub(wait));
                let after = running(&threads)?;
                let busy = before.iter().zip(&after).map(|(a, b)| (b - a) / 1e6).fold(0.0, f64::max);
                let wait = wait.as_secs_f64() * 1e3;
                waits.push([wait, busy.min(wait)]);
                before = after;
            }
            Ok(waits)
        });
        Ok(Self { stop, thread })
    }

    /// Stops it; what it saw.
    pub fn finish(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().map_err(|_| anyhow!("the probe panicked"))??;
        let of = |index: usize| Waits::new(seen.iter().map(|pair| pair[index]).collect());
        Ok(Seen {
            wait: of(0).context("the probe saw nothing")?,
            busy: of(1).context("the probe saw nothing")?,
        })
    }
}

/// Nanoseconds that each thread has run (`man 5 proc`, schedstat).
fn running(threads: &[PathBuf]) -> Result<Vec<f64>> {
    let one = |path: &PathBuf| -> Result<f64> {
        let text = fs::read_to_string(path)?;
        Ok(text.split(' ').next().context("schedstat")?.parse()?)
    };
    threads.iter().map(one).collect()
}

impl Waits {
    /// Of all waits; `None` when there are none.
    pub fn new(mut waits: Vec<f64>) -> Option<Self> {
        waits.sort_by(f64::total_cmp);
        let at = |share: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
            let index = (waits.len() as f64 * share) as usize;
            waits.get(index.min(waits.len().saturating_sub(1))).copied()
        };
        Some(Self {
            count: waits.len(),
            p50: at(0.5)?,
            p99: at(0.99)?,
            p999: at(0.999)?,
            max: *waits.last()?,
        })
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, p50, p99, p999, max } = self;
        write!(
            f,
            "p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, longest {max:.2} ms ({count} samples)"
        )
    }
}
