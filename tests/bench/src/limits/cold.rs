//! What a request waits whose key nobody has used yet, beside a gateway that limits nothing: the two take turns.

use std::{fmt, path::Path, time::Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{
    streams::{self, COLD_KEYS, LIMITS},
    ways::Way,
};
use crate::{
    client::Client,
    envoy::Setup,
    measure::wait_for_envoy,
    probe::Waits,
    process::{Process, free_port},
};

/// Waits of cold requests by one way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cold {
    /// The way.
    pub way: Way,
    /// By the way.
    pub waits: Waits,
    /// Through a gateway that limits nothing, in the same seconds.
    pub without: Waits,
    /// Of so many, refused: none of them had a reason to be.
    pub refused: usize,
}

impl Cold {
    /// Sends each cold key's one request to this gateway.
    pub fn measure(way: Way, gateway: u16, upstream: u16, folder: &Path) -> Result<Self> {
        let setup = Setup { workers: 2, upstream: Some(upstream), ..Setup::none() };
        let name = format!("unlimited-{}", free_port());
        let (line, ports) = setup.write(&name, folder)?;
        let mut envoy = Process::start(&name, folder, &line, &[])?;
        wait_for_envoy(&mut envoy, ports, None)?;
        let (mut by_it, mut beside) = (Client::connect(gateway)?, Client::connect(ports.gateway)?);
        let (mut waits, mut without, mut refused) = (Vec::new(), Vec::new(), 0);
        for number in 0..COLD_KEYS {
            let request = streams::request(&LIMITS[1], streams::cold_key(number));
            for (client, times) in [(&mut by_it, &mut waits), (&mut beside, &mut without)] {
                let started = Instant::now();
                refused += usize::from(client.send(&request)?.status != 200);
                times.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
        let waits_of = |times| Waits::new(times).ok_or_else(|| anyhow::anyhow!("no requests"));
        Ok(Self { way, waits: waits_of(waits)?, without: waits_of(without)?, refused })
    }

    /// How many times as long the usual one waits.
    pub fn p50(&self) -> f64 {
        self.waits.p50 / self.without.p50
    }

    /// The same of one in a hundred.
    pub fn p99(&self) -> f64 {
        self.waits.p99 / self.without.p99
    }
}

impl fmt::Display for Cold {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99) = (self.p50(), self.p99());
        write!(to, "{:<24} cold: p50 {p50:.2} ×, p99 {p99:.2} ×, {} refused", self.way.short(), self.refused)
    }
}
