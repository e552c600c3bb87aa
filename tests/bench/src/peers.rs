//! The setups in which two programs take part or none is Envoy: `ext_authz`, and HAProxy.

use anyhow::{Result, bail};

use crate::{
    client::Client,
    envoy::Setup,
    haproxy,
    instructions::Instructions,
    measure::{self, START, Subject},
    process::Process,
    rows::{self, Rig, Series},
};

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

    pub(super) fn haproxy(&self, rig: Rig, name: &str, keys: u32) -> Result<Subject> {
        let (keys, safe) = match rig {
            Rig::Haproxy { safe } => (Some(keys), safe),
            _ => (None, false),
        };
        let (line, port) = haproxy::write(name, &self.folder, keys, safe)?;
        Subject::program(name, &self.folder, &line, port)
    }
}
