//! Clients that send what three times a limit is, or what else they are told, over several gateways, and note each answer.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::ideal::Seen;
use crate::client::Client;

/// How requests are dealt out to three gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dealt {
    /// A third to each.
    Evenly,
    /// 80 %, 15 % and 5 %.
    Askew,
}

impl Dealt {
    const fn shares(self) -> [f64; 3] {
        match self {
            Self::Evenly => [1.0 / 3.0; 3],
            Self::Askew => [0.8, 0.15, 0.05],
        }
    }
}

/// One client's requests.
#[derive(Clone, Debug)]
pub struct Stream {
    /// What it sends.
    pub request: Vec<u8>,
    /// How many a second, over all gateways.
    pub rate: f64,
    /// How they are dealt out.
    pub dealt: Dealt,
}

/// What is due is sent so often.
const TICK: Duration = Duration::from_millis(4);
/// What a connection could not send in time is left out beyond that: a load, not a backlog.
const MOST_BEHIND: f64 = 0.02;
/// More than that, and a gateway gets more connections, on each of which one request at a time is under way.
const RATE_OF_A_CONNECTION: f64 = 60.0;
const MOST_CONNECTIONS: usize = 40;

/// Sends a stream for so long after `start` (times are counted from there); what came of each request.
pub fn send(stream: &Stream, gateways: [u16; 3], start: Instant, length: Duration) -> Result<Vec<Seen>> {
    let mut clients = Vec::new();
    for (gateway, share) in gateways.into_iter().zip(stream.dealt.shares()) {
        let rate = stream.rate * share;
        let count = ((rate / RATE_OF_A_CONNECTION).ceil() as usize).clamp(1, MOST_CONNECTIONS);
        for number in 0..count {
            let (request, rate) = (stream.request.clone(), rate / count as f64);
            // Not all of them at the same moment.
            let phase = (number as f64 + share) / count as f64;
            clients.push(thread::spawn(move || client(gateway, &request, rate, phase, start, length)));
        }
    }
    let mut seen = Vec::new();
    for client in clients {
        seen.extend(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
    }
    Ok(seen)
}

fn client(
    port: u16,
    request: &[u8],
    rate: f64,
    phase: f64,
    start: Instant,
    length: Duration,
) -> Result<Vec<Seen>> {
    let mut client = Client::connect(port)?;
    let mut seen = Vec::new();
    // In requests, those that were left out included.
    let mut gone = phase - 1.0;
    loop {
        let now = start.elapsed();
        if now >= length {
            return Ok(seen);
        }
        let due = now.as_secs_f64() * rate;
        gone = gone.max(due - (MOST_BEHIND * rate).max(2.0));
        if due < gone + 1.0 {
            let next = Duration::from_secs_f64((gone + 1.0).max(0.0) / rate).saturating_sub(now);
            thread::sleep(next.max(TICK).min(length - now));
            continue;
        }
        gone += 1.0;
        let sent = start.elapsed().as_secs_f64();
        let status = client.send(request)?.status;
        seen.push(Seen { sent, answered: start.elapsed().as_secs_f64(), status });
    }
}
