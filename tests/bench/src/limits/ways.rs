//! The ways to limit over several gateways that are compared: what runs for each.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use flamegate::contract::record::{Limit, Reach, WhenUnreachable};
use serde::{Deserialize, Serialize};

use super::{
    engine::Engine,
    streams::{self, LIMITS, Rate, USES},
};
use crate::{
    client::Client,
    envoy::{Class, ENVIRONMENT, Flamegate, Local, Setup},
    keys::Key,
    measure::{counter, wait_for_envoy},
    process::{Process, SERVICE, artifact, free_port},
    real::{self, Real},
};

/// A way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// Flamegate, each gateway for itself.
    Gateway,
    /// Flamegate, all gateways together by tokens out of the memory of the one control plane.
    FleetMemory,
    /// The same by tokens out of Redis.
    FleetRedis,
    /// The same, and what nobody lends tokens for is refused.
    FleetRefuse,
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
    pub const ALL: [Self; 8] = [
        Self::Gateway,
        Self::FleetMemory,
        Self::FleetRedis,
        Self::FleetRefuse,
        Self::Redis,
        Self::Strict,
        Self::Cached,
        Self::Share,
    ];

    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "Flamegate, `gateway` limits (each gateway for itself)",
            Self::FleetMemory => "Flamegate, `fleet` limits, one control plane's memory",
            Self::FleetRedis => "Flamegate, `fleet` limits, Redis",
            Self::FleetRefuse => "the same, `when_unreachable: refuse`",
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
            Self::FleetMemory => "Flamegate fleet, memory",
            Self::FleetRedis => "Flamegate fleet, Redis",
            Self::FleetRefuse => "Flamegate fleet, refuse",
            Self::Redis => "limitador, Redis",
            Self::Strict => "limitador, Redis, deny",
            Self::Cached => "limitador, cached",
            Self::Share => "Envoy, a share each",
        }
    }

    /// Whether limits are kept in an engine.
    pub const fn has_engine(self) -> bool {
        matches!(self, Self::FleetRedis | Self::FleetRefuse | Self::Redis | Self::Strict | Self::Cached)
    }

    /// Whether limits are kept where they can be lost.
    pub const fn can_lose(self) -> bool {
        self.has_engine() || matches!(self, Self::FleetMemory)
    }

    /// Whether it differs from another way only when nobody counts.
    pub const fn is_for_failures(self) -> bool {
        matches!(self, Self::FleetRefuse | Self::Strict)
    }

    /// Whether it is Flamegate.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Gateway) || self.is_fleet()
    }

    const fn is_fleet(self) -> bool {
        matches!(self, Self::FleetMemory | Self::FleetRedis | Self::FleetRefuse)
    }

    /// A limit as this way has it.
    fn limit(self, rate: &Rate) -> Result<Limit> {
        let number = |number: u32| number.try_into().context("not 0");
        let mut limit = Limit::per(number(rate.requests)?, number(rate.seconds)?);
        if self.is_fleet() {
            limit.reach = Reach::Fleet;
        }
        if self == Self::FleetRefuse {
            limit.when_unreachable = WhenUnreachable::Refuse;
        }
        Ok(limit)
    }
}

/// Three gateways of one way, with all that belongs to them.
pub struct Site {
    /// Where requests go.
    pub gateways: [u16; 3],
    /// Where limits are kept.
    pub engine: Option<Engine>,
    /// The gateways' statistics.
    admins: [u16; 3],
    control: Option<ControlPlane>,
    _processes: Vec<Process>,
}

/// A control plane that runs.
struct ControlPlane {
    real: Real,
    process: Process,
    folder: PathBuf,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl Site {
    /// Starts all of it; requests that are let through go to `upstream`.
    pub fn start(way: Way, engine: Option<Engine>, upstream: u16, folder: &Path) -> Result<Self> {
        let name = format!("{way:?}-{}", free_port());
        let (mut processes, mut control) = (Vec::new(), None);
        let setups = match way {
            Way::Gateway | Way::FleetMemory | Way::FleetRedis | Way::FleetRefuse => {
                let plane = ControlPlane::start(way, engine.as_ref(), folder, &name)?;
                let port = control.insert(plane).real.port;
                three(|_| Setup::flamegate(Flamegate::Bare, port, 20))?
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
        let (mut gateways, mut admins, mut envoys) = ([0; 3], [0; 3], Vec::new());
        for (number, setup) in setups.into_iter().enumerate() {
            let setup = Setup { workers: 2, upstream: Some(upstream), ..setup };
            let name = format!("{name}-{number}");
            let (line, ports) = setup.write(&name, folder)?;
            envoys.push((Process::start(&name, folder, &line, ENVIRONMENT)?, ports));
            (gateways[number], admins[number]) = (ports.gateway, ports.admin);
        }
        let keys = control.as_ref().map(|_| streams::keys().count());
        for (mut envoy, ports) in envoys {
            wait_for_envoy(&mut envoy, ports, keys)?;
            processes.push(envoy);
        }
        Ok(Self { gateways, engine, admins, control, _processes: processes })
    }

    /// How often that was asked which counts for all: the engine; or, where it is a control plane's memory, the control plane. `None` where
    /// nothing does.
    pub fn calls(&self, way: Way) -> Result<Option<u64>> {
        if way == Way::FleetMemory {
            let calls = self.admins.map(|admin| counter(admin, "flamegate_fleet_calls_total"));
            return Ok(Some(calls.into_iter().sum::<Result<u64>>()?));
        }
        self.engine.as_ref().map(Engine::calls).transpose()
    }

    /// What counts for all ends, and begins again with nothing.
    pub fn restart_empty(&mut self) -> Result<()> {
        match (&mut self.engine, &mut self.control) {
            (Some(engine), _) => engine.restart_empty(),
            (None, Some(plane)) => {
                plane.process.end();
                plane.process = plane.real.start(&plane.folder)?;
            }
            (None, None) => {}
        }
        Ok(())
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

impl ControlPlane {
    /// Starts one whose keys have the limits, and have used nothing of them.
    fn start(way: Way, engine: Option<&Engine>, folder: &Path, name: &str) -> Result<Self> {
        let mut real = real::at(folder.join(format!("{name}.db")).display().to_string())?;
        real.environment.extend(engine.map(|engine| ("FLAMEGATE_LIMIT_STORE", engine.address())));
        let path = folder.join(format!("{name}.jsonl"));
        let limited = streams::keys().map(|(key, rate)| Ok((key, vec![way.limit(rate)?])));
        real::write_keys(&path, limited.collect::<Result<Vec<_>>>()?.into_iter())?;
        let process = real.start_lending(folder)?;
        real.import(&path)?;
        Ok(Self { real, process, folder: folder.to_owned() })
    }
}
