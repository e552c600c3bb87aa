//! TLS between gateway and control plane, both as they are shipped: the control plane's own, and what `envoy-config` writes. What happens
//! when a certificate has expired, is another authority's, or is not shown; and that replaced files mend it without a restart.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    time::{Duration, SystemTime},
};

use flamegate_e2e::{
    Envoy, Request,
    control::ADMIN_TOKEN,
    envoy::SYNC_TOKEN,
    eventually,
    process::{Folder, Process, free_port, root},
    upstream::Upstream,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use serde_json::Value;

const DAY: Duration = Duration::from_secs(86_400);

/// Who signs certificates.
type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// Files for TLS, a control plane that speaks it, and what stands behind the gateway.
struct Place {
    folder: Folder,
    upstream: Upstream,
    port: u16,
    control: Option<Process>,
    asks_for_certificates: bool,
}

impl Place {
    fn new(name: &str, asks_for_certificates: bool) -> Self {
        let folder = Folder::new(name);
        let upstream = Upstream::start(&folder);
        Self { folder, upstream, port: free_port(), control: None, asks_for_certificates }
    }

    /// Moves a file into its place, as Envoy wants it, and as whoever renews certificates does it.
    fn put(&self, name: &str, text: &str) {
        let new = self.folder.join(format!("{name}.new"));
        fs::write(&new, text).expect("a file");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("its mode");
        fs::rename(new, self.folder.join(name)).expect("its place");
    }

    /// Puts a certificate of this authority, good until then, into `<name>.pem` and its key into `<name>.key`. The key comes first: of
    /// two files one is always a moment ahead.
    fn put_pair(&self, name: &str, authority: &Authority, until: SystemTime) {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        params.not_before = (SystemTime::now() - 10 * DAY).into();
        params.not_after = until.into();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, authority).expect("a certificate");
        self.put(&format!("{name}.key"), &key.serialize_pem());
        self.put(&format!("{name}.pem"), &certificate.pem());
    }

    fn start_control(&mut self) {
        self.control = None;
        drop(fs::remove_file(self.folder.join("control-plane.log")));
        let file = |name: &str| self.folder.join(name);
        let program = root().join("dist/flamegate-control");
        let process = Process::start("control-plane", &program, &self.folder, |command| {
            command.args(["serve", "--init"]).env("FLAMEGATE_DATABASE", file("flamegate.db"));
            command.env("FLAMEGATE_ADMIN_TOKEN", ADMIN_TOKEN).env("FLAMEGATE_SYNC_TOKEN", SYNC_TOKEN);
            command.env("FLAMEGATE_LISTEN", format!("127.0.0.1:{}", self.port));
            command
                .env("FLAMEGATE_TLS_CERT", file("server.pem"))
                .env("FLAMEGATE_TLS_KEY", file("server.key"));
            if self.asks_for_certificates {
                command.env("FLAMEGATE_TLS_CLIENT_CA", file("gateways-ca.pem"));
            }
        });
        let process = self.control.insert(process);
        eventually("the control plane listens", || {
            process.assert_alive();
            if process.log().contains("listening on https://") { Ok(()) } else { Err(process.log()) }
        });
    }

    /// A command of the client, as people type it; what it prints.
    fn command(&self, args: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(root().join("dist/flamegate-control"));
        command.args(args).arg("--json").env("FLAMEGATE_ADMIN_TOKEN", ADMIN_TOKEN);
        command.env("FLAMEGATE_CONTROL_URL", format!("https://127.0.0.1:{}", self.port));
        let done =
            command.env("FLAMEGATE_CA_FILE", self.folder.join("admin-ca.pem")).output().expect("the client");
        match done.status.success() {
            true => Ok(serde_json::from_slice(&done.stdout).expect("JSON")),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }

    fn done(&self, args: &[&str]) -> Value {
        self.command(args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    /// Its id and its plaintext.
    fn key(&self) -> (String, String) {
        let limit = ["--limit", "1000000/60s"];
        let made = self.done(
            &[&["keys", "create", "--workspace", "e2e", "--name", "k", "--environment", "live"], &limit[..]]
                .concat(),
        );
        let text = |name: &str| made[name].as_str().expect("text").to_owned();
        (text("id"), text("key"))
    }

    /// Whether gateways confirm it is another matter here.
    fn revoke(&self, id: &str) {
        let told = self.command(&["keys", "revoke", id, "--wait", "0s"]).err().unwrap_or_default();
        assert!(told.is_empty() || told.contains("not enforced yet by"), "{told}");
    }

    /// A gateway by `envoy-config`, with a certificate of its own or without.
    fn gateway(&self, name: &'static str, certificate: bool) -> Envoy {
        Envoy::start_with(name, &self.folder, |(port, admin), access_log| {
            let written = self.folder.join(format!("{name}-written.yaml"));
            let mut command = Command::new(root().join("dist/flamegate-control"));
            command.arg("envoy-config").arg("--wasm").arg(root().join("dist/flamegate.wasm"));
            command.arg("--access-log").arg(access_log).arg("--output").arg(&written);
            command.args(["--name", name, "--upstream", &format!("127.0.0.1:{}", self.upstream.port)]);
            command.args(["--control", &format!("127.0.0.1:{}", self.port)]);
            command.args(["--listen", &format!("127.0.0.1:{port}"), "--admin-port", &admin.to_string()]);
            command.arg("--control-ca").arg(self.folder.join("trusted-ca.pem"));
            if certificate {
                command.arg("--control-cert").arg(self.folder.join("gateway.pem"));
                command.arg("--control-key").arg(self.folder.join("gateway.key"));
            }
            let made = command.output().expect("flamegate-control");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            fs::read_to_string(written).expect("the configuration")
        })
    }
}

fn failures(envoy: &Envoy) -> f64 {
    envoy.metrics().value("flamegate_sync_failures_total").unwrap_or(0.0)
}

fn wait_for_failures(envoy: &Envoy, more: f64) {
    let before = failures(envoy);
    eventually("failures are counted", || {
        let now = failures(envoy);
        if now >= before + more { Ok(()) } else { Err(format!("{now}, from {before}; {}", envoy.log())) }
    });
}

fn wait_for_status(envoy: &Envoy, key: &str, status: u16) {
    envoy.wait_for(&Request::get("/v1/agents").bearer(key), status);
}

#[test]
fn a_servers_certificate_that_is_not_good_stops_the_sync_and_nothing_else_until_it_is_replaced() {
    let (first, second) = (authority("first"), authority("second"));
    let mut place = Place::new("server-certificate", false);
    place.put_pair("server", &first, SystemTime::now() + DAY);
    place.put("trusted-ca.pem", &first.pem());
    place.put("admin-ca.pem", &first.pem());
    place.start_control();
    place.done(&["workspaces", "create", "--name", "E2E", "--slug", "e2e"]);
    let envoy = place.gateway("envoy", false);
    let (kept, revoked) = (place.key(), place.key());
    for (_, key) in [&kept, &revoked] {
        wait_for_status(&envoy, key, 200);
    }
    // One that has expired: it is served, nobody believes it, and known keys work.
    place.put_pair("server", &first, SystemTime::now() - DAY);
    place.start_control();
    assert!(place.command(&["workspaces", "list"]).unwrap_err().contains("its certificate has expired"));
    wait_for_failures(&envoy, 2.0);
    eventually("the log names the status", || {
        let log = envoy.log();
        let is_told = log.contains("the last good table stays: answer with status 503");
        if is_told { Ok(()) } else { Err(log) }
    });
    // Its files are replaced while it runs, by another authority's: people believe that one, the gateway does not.
    place.put_pair("server", &second, SystemTime::now() + DAY);
    place.put("admin-ca.pem", &second.pem());
    eventually("the new certificate is served", || place.command(&["workspaces", "list"]).map(drop));
    place.revoke(&revoked.0);
    wait_for_failures(&envoy, 2.0);
    for (_, key) in [&kept, &revoked] {
        wait_for_status(&envoy, key, 200);
    }
    // The gateway's list of authorities is replaced while it runs, too.
    place.put("trusted-ca.pem", &second.pem());
    wait_for_status(&envoy, &revoked.1, 401);
    wait_for_status(&envoy, &kept.1, 200);
    eventually("the log says that it works again", || {
        let log = envoy.log();
        if log.contains("sync works again") { Ok(()) } else { Err(log) }
    });
}

#[test]
fn a_gateway_without_a_certificate_that_is_good_takes_no_part_until_it_has_one() {
    let (servers, first, second) = (authority("servers"), authority("first"), authority("second"));
    let mut place = Place::new("gateway-certificate", true);
    place.put_pair("server", &servers, SystemTime::now() + DAY);
    for name in ["trusted-ca.pem", "admin-ca.pem"] {
        place.put(name, &servers.pem());
    }
    place.put("gateways-ca.pem", &first.pem());
    place.put_pair("gateway", &first, SystemTime::now() + DAY);
    place.start_control();
    // People and scripts need none.
    place.done(&["workspaces", "create", "--name", "E2E", "--slug", "e2e"]);
    let envoy = place.gateway("envoy", true);
    let (kept, ended, revoked) = (place.key(), place.key(), place.key());
    for (_, key) in [&kept, &ended, &revoked] {
        wait_for_status(&envoy, key, 200);
    }
    // One that has the token and no certificate.
    let bare = place.gateway("bare", false);
    eventually("the log names the status", || {
        let log = bare.log();
        if log.contains("answer with status 403") { Ok(()) } else { Err(log) }
    });
    wait_for_status(&bare, &kept.1, 503);
    drop(bare);
    // Another authority counts from now on. What is held ends with the next change; then the gateway is out.
    place.put("gateways-ca.pem", &second.pem());
    eventually("the new authority counts", || {
        let log = place.control.as_ref().expect("the control plane").log();
        if log.contains("the files for TLS were read again") { Ok(()) } else { Err(log) }
    });
    place.revoke(&ended.0);
    wait_for_failures(&envoy, 2.0);
    place.revoke(&revoked.0);
    wait_for_failures(&envoy, 2.0);
    for (_, key) in [&kept, &revoked] {
        wait_for_status(&envoy, key, 200);
    }
    place.put_pair("gateway", &second, SystemTime::now() - DAY);
    wait_for_failures(&envoy, 2.0);
    wait_for_status(&envoy, &revoked.1, 200);
    place.put_pair("gateway", &second, SystemTime::now() + DAY);
    wait_for_status(&envoy, &revoked.1, 401);
    wait_for_status(&envoy, &kept.1, 200);
}
