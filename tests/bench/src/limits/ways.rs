//! The ways to limit over several gateways that are compared: what runs for each.

use std::{fs::File, io::Write as _, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use flamegate::contract::record::Limit;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    engine::Engine,
    streams::{self, LIMITS, Rate, USES},
};
use crate::{
    client::{Client, get},
    envoy::{Class, ENVIRONMENT, Flamegate, Local, Setup},
    keys::Key,
    measure::keys_in,
    process::{Process, SERVICE, artifact, free_port},
    real::{self, Real},
};

/// A way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// Flamegate, each gateway for itself.
    Gateway,
    /// Envoy's `ratelimit` with a service over limitador that asks Redis for each request.
    Redis,
    /// The same, and what no service has decided is refused.
    Strict,
    /// The same as `Redis`, but the service counts by itself and tells Redis once a second.
    Cached,
    /// A share of the limit for each gateway, by Envoy's `local_cluster_rate_limit`.
    Share,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Gateway, Self::Redis, Self::Strict, Self::Cached, Self::Share];

    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "Flamegate, `gateway` limits (each gateway for itself)",
            Self::Redis => "Envoy `ratelimit`, service over limitador with Redis",
            Self::Strict => "the same, `failure_mode_deny`",
            Self::Cached => "Envoy `ratelimit`, service over limitador with cached Redis",
            Self::Share => "Envoy `local_cluster_rate_limit` (a third for each)",
        }
    }

    /// The same in a chart.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Gateway => "Flamegate gateway",
            Self::Redis => "limitador, Redis",
            Self::Strict => "limitador, Redis, deny",
            Self::Cached => "limitador, cached",
            Self::Share => "Envoy, a share each",
        }
    }

    /// Whether limits are kept in an engine.
    pub const fn has_engine(self) -> bool {
        matches!(self, Self::Redis | Self::Strict | Self::Cached)
    }

    /// Whether it differs from another way only when the engine is away.
    pub const fn is_for_failures(self) -> bool {
        matches!(self, Self::Strict)
    }
}

/// Three gateways of one way, with all that belongs to them.
pub struct Site {
    /// Where requests go.
    pub gateways: [u16; 3],
    /// Where limits are kept.
    pub engine: Option<Engine>,
    _processes: Vec<Process>,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl Site {
    /// Starts all of it; requests that are let through go to `upstream`.
    pub fn start(way: Way, engine: Option<Engine>, upstream: u16, folder: &Path) -> Result<Self> {
        let name = format!("{way:?}-{}", free_port());
        let (mut processes, mut keys) = (Vec::new(), None);
        let setups = match way {
            Way::Gateway => {
                let real = control_plane(folder, &name)?;
                processes.push(real.start(folder)?);
                keys = Some(streams::keys().count());
                three(|_| Setup::flamegate(Flamegate::Bare, real.port, 20))?
            }
            Way::Share => {
                // Nobody is called there: it is their number that says how large a share is.
                let fellows = [free_port(), free_port(), free_port()];
                three(|_| Ok(Setup::local_share(&shares(), Class::Header, &fellows)))?
            }
            Way::Redis | Way::Strict | Way::Cached => {
                let way_to_engine = engine.as_ref().context("an engine")?.way.port;
                three(|number| {
                    let (line, port) = service(way == Way::Cached, way_to_engine)?;
                    let mut service =
                        Process::start(&format!("{name}-service-{number}"), folder, &line, &[])?;
                    service.wait_until("the service listens", PATIENCE, || Client::connect(port).is_ok())?;
                    processes.push(service);
                    Ok(Setup::rate_limit_service(port, Class::Header, way == Way::Strict))
                })?
            }
        };
        let mut admins = Vec::new();
        let mut gateways = [0; 3];
        for (number, setup) in setups.into_iter().enumerate() {
            let setup = Setup { workers: 2, upstream: Some(upstream), ..setup };
            let name = format!("{name}-{number}");
            let (line, ports) = setup.write(&name, folder)?;
            let envoy = Process::start(&name, folder, &line, ENVIRONMENT)?;
            gateways[number] = ports.gateway;
            admins.push((ports.admin, processes.len()));
            processes.push(envoy);
        }
        for (admin, process) in admins {
            processes[process].wait_until("a gateway is ready", PATIENCE, || {
                get(admin, "/ready").is_ok() && (keys.is_none() || keys_in(admin) == keys)
            })?;
        }
        Ok(Self { gateways, engine, _processes: processes })
    }
}

/// The command line of a rate-limit service, and its port.
pub fn service(cached: bool, engine: u16) -> Result<(Vec<String>, u16)> {
    let port = free_port();
    let storage = if cached { "cached" } else { "redis" };
    let program = artifact(SERVICE, "make bench-build")?.display().to_string();
    let url = format!("redis://127.0.0.1:{engine}");
    let mut line = vec![program, port.to_string(), storage.to_owned(), url];
    line.extend(LIMITS.iter().map(|limit| format!("{}={}/{}", limit.class, limit.requests, limit.seconds)));
    Ok((line, port))
}

fn three(make: impl FnMut(usize) -> Result<Setup>) -> Result<Vec<Setup>> {
    (0..3).map(make).collect()
}

/// What `local_ratelimit` has to know: a bucket for each key of each limit.
fn shares() -> Vec<Local> {
    let limit = |rate: &'static Rate, key: Key| Local {
        class: rate.class,
        key: format!("Bearer {}", key.plaintext()),
        requests: rate.requests,
        seconds: rate.seconds,
    };
    LIMITS.iter().flat_map(|rate| USES.map(|of| limit(rate, streams::key(rate, of)))).collect()
}

/// A control plane whose keys have the limits.
fn control_plane(folder: &Path, name: &str) -> Result<Real> {
    let real = real::at(folder.join(format!("{name}.db")).display().to_string())?;
    let path = folder.join(format!("{name}.jsonl"));
    let mut file = File::create(&path)?;
    for (key, rate) in streams::keys() {
        let number = |number: u32| number.try_into().context("not 0");
        let limit = Limit::per(number(rate.requests)?, number(rate.seconds)?);
        let line = json!({"hash": key.hash().to_hex(), "workspace": "bench", "name": "bench",
                          "environment": "live", "limits": [limit]});
        writeln!(file, "{line}")?;
    }
    real.import(folder, &path)?;
    Ok(real)
}
