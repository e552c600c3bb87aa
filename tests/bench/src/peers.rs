//! What others need for the same job: what Envoy itself offers, `ext_authz`, and HAProxy.

use anyhow::Result;

use crate::{
    client::Client,
    envoy::Setup,
    haproxy,
    instructions::Instructions,
    measure::{self, START, Subject},
    process::Process,
    rows::{self, Series},
};

/// Beyond this, Envoy's configuration with all keys in it takes longer to load than the measurement.
const MOST_NATIVE_KEYS: u32 = 100_000;
/// The same for a Lua script, which every worker has a copy of.
const MOST_LUA_KEYS: u32 = 1_000;

impl Instructions<'_> {
    /// The check alone.
    pub(super) fn peers(&mut self, keys: u32) -> Result<()> {
        // Their table is part of the configuration, which sets an end to it.
        if keys <= MOST_NATIVE_KEYS {
            self.envoy(&Setup::api_key_auth(keys, false, false), keys, None, &[rows::API_KEY_AUTH])?;
            self.envoy(&Setup::api_key_auth(keys, true, false), keys, None, &[rows::API_KEY_AUTH_LIMITED])?;
        }
        if keys <= MOST_LUA_KEYS {
            self.envoy(&Setup::lua(keys, false), keys, None, &[rows::LUA])?;
        }
        for (grpc, row) in [(false, rows::EXT_AUTHZ[0]), (true, rows::EXT_AUTHZ[1])] {
            self.ext_authz(&row, keys, grpc, false)?;
        }
        self.haproxy(&rows::HAPROXY[1], keys, false)
    }

    /// With the identity passed on and the key removed.
    pub(super) fn safe_peers(&mut self, keys: u32) -> Result<()> {
        self.envoy(&Setup::api_key_auth(keys, true, true), keys, None, &[rows::SAFE_API_KEY_AUTH])?;
        self.envoy(&Setup::lua(keys, true), keys, None, &[rows::SAFE_LUA])?;
        for (grpc, row) in [(false, rows::SAFE_EXT_AUTHZ[0]), (true, rows::SAFE_EXT_AUTHZ[1])] {
            self.ext_authz(&row, keys, grpc, true)?;
        }
        self.haproxy(&rows::SAFE_HAPROXY, keys, true)
    }

    /// Envoy's side and the server's, one after the other: each is slow under callgrind while the other is not.
    fn ext_authz(&mut self, row: &Series, keys: u32, grpc: bool, safe: bool) -> Result<()> {
        if !self.wants(row, keys) {
            return Ok(());
        }
        let (line, port) = rows::authz_server(grpc, keys, safe)?;
        let setup = Setup::ext_authz(grpc, port, safe);
        let proxy = {
            let mut server = Process::start("authz", &self.folder, &line, &[])?;
            server.wait_until("the server listens", START, || Client::connect(port).is_ok())?;
            let mut subject = Subject::envoy(row.id, &self.folder, &setup, None)?;
            subject.must_refuse_unknown()?;
            subject.measure(row.load, "", 200, self.plan.effort, None)?
        };
        let mut subject = Subject::program("authz", &self.folder, &line, port)?;
        let (envoy_line, ports) = setup.write(row.id, &self.folder)?;
        let mut envoy = Process::start(row.id, &self.folder, &envoy_line, &[])?;
        measure::wait_for_envoy(&mut envoy, ports, None)?;
        let server = subject.measure(row.load, "", 200, self.plan.effort, Some(ports.gateway))?;
        self.put(row, keys, &proxy, Some(server.process_median()))
    }

    fn haproxy(&mut self, row: &Series, keys: u32, safe: bool) -> Result<()> {
        if !self.wants(row, keys) {
            return Ok(());
        }
        let none = &rows::HAPROXY[0];
        if self.wants(none, 0) || self.results.row(none.id, 0).is_none() {
            let (line, port) = haproxy::write(none.id, &self.folder, None, false)?;
            let mut subject = Subject::program(none.id, &self.folder, &line, port)?;
            self.measure(&mut subject, none, 0)?;
        }
        let (line, port) = haproxy::write(row.id, &self.folder, Some(keys), safe)?;
        let mut subject = Subject::program(row.id, &self.folder, &line, port)?;
        subject.must_refuse_unknown()?;
        self.measure(&mut subject, row, keys)
    }
}
