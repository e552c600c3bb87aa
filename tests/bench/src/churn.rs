//! Changes under load: so many keys change every second while clients use others; how long a revoked key still works.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    client::Client,
    control::{Change, Control},
    envoy::Ports,
    keys::{Key, Kind},
    load::Load,
    probe::Waits,
};

/// What was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Churn {
    /// Changes made, and the time that they took in seconds.
    pub changes: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Requests of the clients in that time.
    pub requests: u64,
    /// From the change at the control plane to the first refusal that a client of that key sees, in milliseconds.
    pub refused: Waits,
    /// From the change to the gateway's acknowledgement (every worker enforces it), in milliseconds.
    pub acknowledged: Waits,
}

/// Changes per second that are watched.
const WATCHED_PER_SECOND: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes `per_second` changes for `seconds` and watches some of them.
pub fn run(control: &Control, ports: Ports, keys: u32, per_second: u32, seconds: u32) -> Result<Churn> {
    let stop = Arc::new(AtomicBool::new(false));
    let requests = Arc::new(AtomicU64::new(0));
    let load = {
        let (stop, requests) = (Arc::clone(&stop), Arc::clone(&requests));
        thread::spawn(move || use_keys(ports.gateway, keys, &stop, &requests))
    };
    let changer = {
        let (stop, control) = (Arc::clone(&stop), control.clone());
        thread::spawn(move || change_keys(&control, keys, per_second, &stop))
    };
    let started = Instant::now();
    let (mut refused, mut acknowledged) = (Vec::new(), Vec::new());
    let mut client = Client::connect(ports.gateway)?;
    for number in 0..seconds * WATCHED_PER_SECOND {
        let due = Duration::from_secs(1) * number / WATCHED_PER_SECOND;
        thread::sleep(due.saturating_sub(started.elapsed()));
        let waits = revoke(control, &mut client, number)?;
        refused.push(waits.0);
        acknowledged.push(waits.1);
    }
    stop.store(true, Ordering::Relaxed);
    let taken = started.elapsed();
    load.join().map_err(|_| anyhow!("the load panicked"))??;
    let changes = changer.join().map_err(|_| anyhow!("the changes panicked"))?;
    Ok(Churn {
        changes,
        seconds: taken.as_secs_f64(),
        requests: requests.load(Ordering::Relaxed),
        refused: Waits::new(refused).context("nothing was watched")?,
        acknowledged: Waits::new(acknowledged).context("nothing was watched")?,
    })
}

/// Adds a key, waits until it works, revokes it; milliseconds until it is refused and until that is acknowledged.
fn revoke(control: &Control, client: &mut Client, number: u32) -> Result<(f64, f64)> {
    let key = Key { kind: Kind::Unlimited, number: 1_000_000 + number };
    let request = crate::load::with_key(key);
    control.change(&[Change::Upsert(key)]);
    until(client, &request, 200)?;
    let started = Instant::now();
    let revision = control.change(&[Change::Removal(key.hash())]);
    until(client, &request, 401)?;
    let refused = started.elapsed();
    while control.acknowledged() < revision {
        ensure!(started.elapsed() < PATIENCE, "revision {revision} is not acknowledged");
        thread::sleep(Duration::from_micros(200));
    }
    Ok((refused.as_secs_f64() * 1e3, started.elapsed().as_secs_f64() * 1e3))
}

fn until(client: &mut Client, request: &[u8], status: u16) -> Result<()> {
    let started = Instant::now();
    while client.send(request)?.status != status {
        ensure!(started.elapsed() < PATIENCE, "never {status}");
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// Requests with the lower half of the keys, about 2,000 a second, until told to stop.
fn use_keys(port: u16, keys: u32, stop: &AtomicBool, requests: &AtomicU64) -> Result<()> {
    let load = Load::Cycle((keys / 2).clamp(1, 20_000));
    let mut client = Client::connect(port)?;
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        client.expect(&load.request(number, ""), 200)?;
        requests.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_micros(300));
    }
    Ok(())
}

/// Takes keys of the upper half away and gives them back, in steps of 10 ms; how many changes that were.
fn change_keys(control: &Control, keys: u32, per_second: u32, stop: &AtomicBool) -> u64 {
    let started = Instant::now();
    let mut made = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let due = started.elapsed().as_millis() * u128::from(per_second) / 1000;
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        let changes: Vec<Change> = (made..due).map(|number| change(number, keys)).collect();
        control.change(&changes);
        made = made.max(due);
        thread::sleep(Duration::from_millis(10));
    }
    made
}

/// Change `number`: every key is taken away and given back by the next change.
fn change(number: u64, keys: u32) -> Change {
    let half = u64::from((keys / 2).max(1));
    let offset = u32::try_from(number / 2 * 7_919 % half).unwrap_or_default();
    let key = Key::ordinary(keys / 2 + offset);
    if number.is_multiple_of(2) { Change::Removal(key.hash()) } else { Change::Upsert(key) }
}

impl Churn {
    /// For people.
    pub fn print(&self) {
        println!(
            "  changes            {:.0} a second for {:.0} s, beside {:.0} requests a second",
            self.changes as f64 / self.seconds,
            self.seconds,
            self.requests as f64 / self.seconds
        );
        println!("  revoked, refused   {}", self.refused);
        println!("  acknowledged       {}", self.acknowledged);
    }
}
