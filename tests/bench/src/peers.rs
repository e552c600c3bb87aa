//! The setups in which two programs take part or none is Envoy: `ext_authz`, and HAProxy.

use anyhow::{Result, bail};
use flamegate_engines::Redis;

use crate::{
    client::Client,
    envoy::{Class, Local, Setup},
    haproxy,
    instructions::Instructions,
    keys::Key,
    limits::ways,
    measure::{self, START, Subject},
    process::{Process, free_port},
    rows::{self, Rig, Series},
    upstream,
};

/// The class of a busy key's requests, and its limit: as an ordinary key's.
const HOT: &str = "hot";
const HOT_LIMIT: (u32, u32) = (1_000_000, 60);

/// A third of an ordinary key's limit.
pub fn local_share() -> Setup {
    let key = format!("Bearer {}", Key::ordinary(0).plaintext());
    let limit = Local { class: HOT, key, requests: HOT_LIMIT.0, seconds: HOT_LIMIT.1 };
    Setup::local_share(&[limit], Class::Always(HOT), &[free_port(), free_port(), free_port()])
}

impl Instructions<'_> {
    /// Envoy's side and the server's, one after the other: each is slow under callgrind while the other is not.
    pub(super) fn ext_authz(&mut self, row: &Series, keys: u32) -> Result<()> {
        let Rig::ExtAuthz { grpc, safe } = row.rig else { bail!("{} is no ext_authz", row.id) };
        let (load, effort) = (row.load(keys), self.plan.effort.of(row));
        let (line, port) = rows::authz_server(grpc, keys, safe)?;
        let setup = Setup::ext_authz(grpc, port, safe);
        let proxy = {
            let mut server = Process::start("authz", &self.folder, &line, &[])?;
            server.wait_until("the server listens", START, || Client::connect(port).is_ok())?;
            let mut subject = Subject::envoy(row.id, &self.folder, &setup, None, false)?;
            subject.must_refuse_unknown()?;
            subject.measure(load, "", 200, effort, None)?
        };
        let mut subject = Subject::program("authz", &self.folder, &line, port)?;
        let (envoy_line, ports) = setup.write(row.id, &self.folder)?;
        let mut envoy = Process::start(row.id, &self.folder, &envoy_line, &[])?;
        measure::wait_for_envoy(&mut envoy, ports, None)?;
        let server = subject.measure(load, "", 200, effort, Some(ports.gateway))?;
        self.put(row, keys, &proxy, Some(server.process_median()))
    }

    /// Envoy's side and the service's, as above. What Redis does is not counted.
    pub(super) fn rate_limit_service(&mut self, row: &Series) -> Result<()> {
        let Rig::RateLimit { cached } = row.rig else { bail!("{} is no rate limit", row.id) };
        let (load, effort) = (row.load(0), self.plan.effort.of(row));
        let redis = Redis::start();
        let (mut line, port) = ways::service(cached, redis.port)?;
        line.push(format!("{HOT}={}/{}", HOT_LIMIT.0, HOT_LIMIT.1));
        let setup = Setup {
            upstream: Some(upstream::start()?),
            ..Setup::rate_limit_service(port, Class::Always(HOT), true)
        };
        let proxy = {
            let mut service = Process::start("limits-service", &self.folder, &line, &[])?;
            service.wait_until("the service listens", START, || Client::connect(port).is_ok())?;
            let mut subject = Subject::envoy(row.id, &self.folder, &setup, None, false)?;
            subject.measure(load, "", 200, effort, None)?
        };
        let mut subject = Subject::program("limits-service", &self.folder, &line, port)?;
        let (envoy_line, ports) = setup.write(row.id, &self.folder)?;
        let mut envoy = Process::start(row.id, &self.folder, &envoy_line, &[])?;
        measure::wait_for_envoy(&mut envoy, ports, None)?;
        let service = subject.measure(load, "", 200, effort, Some(ports.gateway))?;
        self.put(row, 0, &proxy, Some(service.process_median()))
    }

    pub(super) fn haproxy(&self, rig: Rig, name: &str, keys: u32) -> Result<Subject> {
        let (keys, safe) = match rig {
            Rig::Haproxy { safe } => (Some(keys), safe),
            _ => (None, false),
        };
        let (line, port) = haproxy::write(name, &self.folder, keys, safe)?;
        Subject::program(name, &self.folder, &line, port)
    }
}
