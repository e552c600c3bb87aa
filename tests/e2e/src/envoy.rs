//! The real Envoy, with `envoy/envoy.yaml` and a plugin configuration.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::{
    Answer, Protocol, Request, cases, eventually, http1,
    metrics::Metrics,
    process::{Process, free_port, root},
};

/// The sync token of every stack.
pub const SYNC_TOKEN: &str = "sync-token-of-the-end-to-end-tests";

/// Workers of every Envoy: the contract has to hold across them.
pub const WORKERS: usize = 2;

/// Ports of the gateway and of the admin interface.
pub type Ports = (u16, u16);

/// What the plugin is configured with.
#[derive(Clone)]
pub struct Plugin {
    /// The filter's configuration.
    pub filter: Value,
    /// The bootstrap singleton's; `None` when there is none.
    pub sync: Option<Value>,
    /// The module, when it is not `dist/flamegate.wasm`.
    pub module: Option<PathBuf>,
}

/// Where Envoy finds the others.
#[derive(Clone, Copy)]
pub struct Upstreams {
    /// Port of the upstream.
    pub upstream: u16,
    /// Port of the control plane.
    pub control: u16,
}

/// A running Envoy.
pub struct Envoy {
    pub(crate) process: Process,
    /// Port of the gateway.
    pub port: u16,
    /// Port of the admin interface.
    pub admin: u16,
    /// Its access log.
    pub access_log: PathBuf,
}

impl Plugin {
    /// A filter that reads what a bootstrap singleton syncs, with the bypass rules of the case table and `more` fields.
    pub fn singleton(more: Value) -> Self {
        let filter = with_defaults(json!({"sync": sync("singleton")}), more);
        Self {
            filter,
            sync: Some(json!({"role": "sync", "tick_ms": 5, "sync": sync("singleton")})),
            module: None,
        }
    }

    /// A filter of which one root context syncs.
    pub fn elected(more: Value) -> Self {
        Self { filter: with_defaults(json!({"sync": sync("elected")}), more), sync: None, module: None }
    }

    /// A filter that syncs with nobody.
    pub fn alone(filter: Value) -> Self {
        Self { filter, sync: None, module: None }
    }
}

/// Quick retries: tests stop and start the control plane.
fn sync(mode: &str) -> Value {
    json!({"mode": mode, "cluster": "flamegate-control", "wait_seconds": 5, "retry_min_ms": 50, "retry_max_ms": 200})
}

fn with_defaults(mut filter: Value, more: Value) -> Value {
    filter["bypass"] = serde_json::from_str(cases::BYPASS_JSON).expect("bypass rules");
    if let Value::Object(more) = more {
        for (name, value) in more {
            filter[name] = value;
        }
    }
    filter
}

impl Envoy {
    /// Starts it and waits until it serves.
    pub fn start(name: &'static str, folder: &Path, plugin: &Plugin, upstreams: Upstreams) -> Self {
        Self::start_with(name, folder, |ports, access_log| render(plugin, upstreams, ports, access_log))
    }

    /// The same with no Flamegate in the filter chain, as if Envoy had skipped it.
    pub fn start_without_filter(
        name: &'static str,
        folder: &Path,
        plugin: &Plugin,
        upstreams: Upstreams,
    ) -> Self {
        Self::start_with(name, folder, |ports, access_log| {
            cut(
                &render(plugin, upstreams, ports, access_log),
                "- name: flamegate\n",
                "- name: envoy.filters.http.router",
            )
        })
    }

    /// Starts it with another configuration than `envoy/envoy.yaml`: the text of one, from ports and access log.
    pub fn start_with(name: &'static str, folder: &Path, text: impl FnOnce(Ports, &Path) -> String) -> Self {
        Self::start_in(name, folder, &[], text)
    }

    /// The same with these environment variables.
    pub fn start_in(
        name: &'static str,
        folder: &Path,
        environment: &[(&str, &str)],
        text: impl FnOnce(Ports, &Path) -> String,
    ) -> Self {
        let (port, admin) = (free_port(), free_port());
        let access_log = folder.join(format!("{name}-access.log"));
        let config = folder.join(format!("{name}.yaml"));
        fs::write(&config, text((port, admin), &access_log)).expect("Envoy's configuration");
        let process = Process::start(name, &binary(), folder, |command| {
            command.arg("-c").arg(&config).args(["--concurrency", &WORKERS.to_string()]);
            command.args([
                "--disable-hot-restart",
                "--log-level",
                "warning",
                "--component-log-level",
                "wasm:debug",
            ]);
            // Old listeners go soon after a reload.
            command.args(["--drain-time-s", "2", "--drain-strategy", "immediate"]);
            command.args(["--file-flush-interval-msec", "20"]).env("FLAMEGATE_SYNC_TOKEN", SYNC_TOKEN);
            command.envs(environment.iter().copied());
        });
        let mut envoy = Self { process, port, admin, access_log };
        eventually("Envoy is ready", || {
            envoy.process.assert_alive();
            Request::get("/ready").send(Protocol::Http1, admin)?.expect_status(200)
        });
        envoy
    }

    /// Sends a request to the gateway.
    pub fn send(&self, request: &Request) -> Answer {
        self.send_by(Protocol::Http1, request)
    }

    /// Sends a request to the gateway by HTTP/1.1 or HTTP/2.
    pub fn send_by(&self, protocol: Protocol, request: &Request) -> Answer {
        request
            .send(protocol, self.port)
            .unwrap_or_else(|error| panic!("{} {}: {error}", request.method, request.path))
    }

    /// A page of the admin interface.
    pub fn admin(&self, path: &str) -> Answer {
        Request::get(path).send(Protocol::Http1, self.admin).expect("Envoy's admin interface")
    }

    /// The metrics of the filter, and Envoy's own about its VMs.
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/stats/prometheus?filter=^wasm").text())
    }

    /// One connection to each worker.
    pub fn connection_to_each_worker(&self) -> Vec<http1::Connection> {
        let mut found: Vec<Option<http1::Connection>> = (0..WORKERS).map(|_| None).collect();
        for _ in 0..200 {
            let before = self.connections_by_worker();
            let connection = http1::Connection::open(self.port).expect("connection to the gateway");
            let worker = eventually("a worker has accepted the connection", || {
                let after = self.connections_by_worker();
                (0..WORKERS)
                    .find(|worker| after[*worker] > before[*worker])
                    .ok_or_else(|| format!("{after:?}"))
            });
            found[worker] = Some(connection);
            if found.iter().all(Option::is_some) {
                return found.into_iter().flatten().collect();
            }
        }
        panic!("200 connections, and none of them to one of the {WORKERS} workers");
    }

    /// How many connections each worker has accepted so far.
    pub fn connections_by_worker(&self) -> Vec<u64> {
        let text = self.admin("/stats?filter=listener.127.0.0.1_.*worker_.*downstream_cx_total").text();
        let count = |worker: usize| {
            let name = format!("{}.worker_{worker}.downstream_cx_total: ", self.port);
            text.lines().find_map(|line| line.split_once(&name)?.1.parse().ok()).unwrap_or(0)
        };
        (0..WORKERS).map(count).collect()
    }

    /// What it has logged so far, without the access log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The access log's lines that can be read as JSON so far.
    pub fn access_lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.access_log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Panics with the end of its log when it has ended.
    pub fn assert_alive(&mut self) {
        self.process.assert_alive();
    }

    /// True when its process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// Its resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.process.resident_bytes()
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Asks Envoy whether it would accept a plugin configuration.
    pub fn validate(folder: &Path, plugin: &Plugin) -> Output {
        let config = folder.join("validate.yaml");
        let upstreams = Upstreams { upstream: 1, control: 1 };
        fs::write(&config, render(plugin, upstreams, (1, 1), &folder.join("access.log")))
            .expect("Envoy's configuration");
        let mut command = Command::new(binary());
        command.arg("-c").arg(&config).args(["--mode", "validate"]).env("FLAMEGATE_SYNC_TOKEN", SYNC_TOKEN);
        command.output().expect("Envoy")
    }
}

/// `ENVOY_BIN`, as `make matrix` sets it, else the binary that `make setup` has chosen.
pub(crate) fn binary() -> PathBuf {
    let path = env::var_os("ENVOY_BIN").map_or_else(|| root().join(".cache/envoy"), PathBuf::from);
    assert!(path.exists(), "Envoy is not there: run `make setup`");
    path
}

/// `text` without what stands from `start` to before `end`.
fn cut(text: &str, start: &str, end: &str) -> String {
    let (before, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} in envoy.yaml"));
    let length = rest.find(end).unwrap_or_else(|| panic!("no {end} in envoy.yaml"));
    format!("{before}{}", &rest[length..])
}

/// `envoy.yaml` with everything filled in, and without the singleton when there is none.
pub fn render(plugin: &Plugin, upstreams: Upstreams, (port, admin): Ports, access_log: &Path) -> String {
    let wasm = plugin.module.clone().unwrap_or_else(|| root().join("dist/flamegate.wasm"));
    assert!(wasm.exists(), "{} is not there: run `make build`", wasm.display());
    let mut text = fs::read_to_string(root().join("envoy/envoy.yaml")).expect("envoy.yaml");
    if plugin.sync.is_none() {
        text = cut(&text, "bootstrap_extensions:", "static_resources:");
    }
    let values = [
        ("NODE_ID", "e2e".to_owned()),
        ("WASM", wasm.display().to_string()),
        ("ACCESS_LOG", access_log.display().to_string()),
        ("ADMIN_PORT", admin.to_string()),
        ("GATEWAY_ADDRESS", "127.0.0.1".to_owned()),
        ("GATEWAY_PORT", port.to_string()),
        ("UPSTREAM_HOST", "127.0.0.1".to_owned()),
        ("UPSTREAM_PORT", upstreams.upstream.to_string()),
        ("CONTROL_HOST", "127.0.0.1".to_owned()),
        ("CONTROL_PORT", upstreams.control.to_string()),
        ("FILTER_CONFIG", plugin.filter.to_string()),
        ("FILTER_ENVIRONMENT", "[FLAMEGATE_SYNC_TOKEN]".to_owned()),
        ("SYNC_CONFIG", plugin.sync.clone().unwrap_or_default().to_string()),
    ];
    fill(text, &values)
}

/// `envoy.yaml` without the guard: one route for everything.
pub fn without_guard(text: &str) -> String {
    let (begin, end) = ("                      matcher:\n", "\n  clusters:\n");
    let (before, rest) = text.split_once(begin).expect("the guard");
    let (_, after) = rest.split_once(end).expect("the clusters");
    let route = "- { match: { prefix: / }, route: { cluster: upstream, timeout: 0s } }";
    format!("{before}                      routes:\n                        {route}\n{end}{after}")
}

/// `envoy.yaml` with another protocol to the upstream: a field of `HttpProtocolOptions` and its value.
pub fn with_upstream_protocol(text: &str, options: &str) -> String {
    let (own, end) = ("          use_downstream_protocol_config:", "\n    - name: flamegate-control");
    let (before, rest) = text.split_once(own).expect("the upstream's protocol");
    let (_, after) = rest.split_once(end).expect("the next cluster");
    format!("{before}          {options}\n{end}{after}")
}

/// A file of the repository with each `${NAME}` replaced by its value.
pub fn fill_file(path: &str, values: &[(&str, String)]) -> String {
    fill(fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}")), values)
}

fn fill(mut text: String, values: &[(&str, String)]) -> String {
    for (name, value) in values {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    text
}
