//! `make fleet`: two gateways, two control planes, PostgreSQL and Redis as a stranger starts them, used by what it says of itself, with one control
//! plane killed, and ended.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use flamegate_e2e::{
    Answer, Protocol, Request, eventually, http1,
    metrics::Metrics,
    process::{Folder, Process, root},
};
use serde_json::{Value, json};

struct Fleet {
    script: Process,
    state: PathBuf,
    variables: Vec<(String, String)>,
    /// Names and process ids.
    programs: Vec<(String, u32)>,
    _folder: Folder,
}

fn script() -> PathBuf {
    root().join("envoy/fleet.py")
}

/// Lines with two parts.
fn pairs(path: &Path, between: char) -> Vec<(String, String)> {
    assert_eq!(
        fs::metadata(path).expect("its mode").permissions().mode() & 0o777,
        0o600,
        "{}",
        path.display()
    );
    let text = fs::read_to_string(path).expect("a file of the fleet");
    let pair = |line: &str| line.split_once(between).map(|(one, two)| (one.to_owned(), two.to_owned()));
    text.lines().map(|line| pair(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

fn is_there(program: u32) -> bool {
    Path::new(&format!("/proc/{program}")).exists()
}

impl Fleet {
    fn start() -> Self {
        let folder = Folder::new("fleet");
        let state = folder.join("run");
        let mut process = Process::start("fleet", &script(), &folder, |command| {
            command.env("FLAMEGATE_STATE_DIR", &state);
        });
        // Each of its programs has its own time, and it says which one is late.
        let mut log = String::new();
        while !log.contains("The fleet is ready.") {
            log = eventually("the fleet's next step", || {
                let more = process.log();
                if more.len() > log.len() {
                    return Ok(more);
                }
                process.assert_alive();
                Err(more)
            });
        }
        let variables = pairs(&state.join("fleet.env"), '=');
        let programs = pairs(&state.join("fleet.pids"), ' ');
        let programs =
            programs.into_iter().map(|(name, id)| (name, id.parse().expect("a process id"))).collect();
        Self { script: process, state, variables, programs, _folder: folder }
    }

    fn variable(&self, name: &str) -> &str {
        let found = self.variables.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("no {name}")).1
    }

    /// The ports of several addresses.
    fn ports(&self, name: &str) -> Vec<u16> {
        let port = |url: &str| url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        self.variable(name).split(',').map(port).collect()
    }

    fn program(&self, name: &str) -> u32 {
        self.programs.iter().find(|(known, _)| known == name).expect("a program").1
    }

    /// A call of a control plane's API that succeeds: its `data`.
    fn call(&self, control: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::new(method, path)
            .bearer(self.variable("FLAMEGATE_ADMIN_TOKEN"))
            .header("content-type", "application/json")
            .header("content-length", body.len().to_string());
        let sent = http1::Connection::open(control).and_then(|mut connection| {
            connection.send_bytes(&http1::encode(&request))?;
            connection.send_bytes(body.as_bytes())?;
            connection.read_answer(false)
        });
        let answer = sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        answer.json()["data"].clone()
    }

    /// A new key: id and key.
    fn new_key(&self, control: u16) -> (String, String) {
        let body = json!({"workspace": "demo", "name": "test", "environment": "live"});
        let made = self.call(control, "POST", "/v1/api-keys", Some(&body));
        let text =
            |name: &str| made[name].as_str().unwrap_or_else(|| panic!("no {name} in {made}")).to_owned();
        (text("id"), text("key"))
    }

    /// Waits until every gateway answers this to the key, several times in a row: each has two workers.
    fn wait_for(&self, key: &str, status: u16) {
        for gateway in self.ports("FLAMEGATE_GATEWAY_URLS") {
            eventually(&format!("{status} at the gateway on port {gateway}"), || {
                (0..8).try_for_each(|_| ask(gateway, key)?.expect_status(status).map(drop))
            });
        }
    }

    /// The receipt of a revocation, which waits for both gateways.
    fn revoke(&self, control: u16, id: &str) -> Value {
        self.call(control, "POST", &format!("/v1/api-keys/{id}/revoke?wait=30s"), None)
    }
}

fn ask(gateway: u16, key: &str) -> Result<Answer, String> {
    Request::get("/v1/agents").bearer(key).send(Protocol::Http1, gateway)
}

/// A second start, which is refused: what it says.
fn refused(state: &Path, variable: (&str, &str)) -> String {
    let Output { status, stderr, .. } = Command::new(script())
        .env("FLAMEGATE_STATE_DIR", state)
        .env(variable.0, variable.1)
        .output()
        .expect("the script");
    assert_eq!(status.code(), Some(1));
    String::from_utf8_lossy(&stderr).into_owned()
}

#[test]
fn a_fleet_is_what_it_says_survives_a_control_plane_and_leaves_nothing() {
    let mut fleet = Fleet::start();
    let names: Vec<&str> = fleet.programs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["postgres", "redis", "control-1", "control-2", "envoy-1", "envoy-2"]);
    for (name, id) in &fleet.programs {
        assert!(is_there(*id), "{name} {id}");
    }
    let (gateways, controls) = (fleet.ports("FLAMEGATE_GATEWAY_URLS"), fleet.ports("FLAMEGATE_CONTROL_URLS"));
    assert_eq!((gateways.len(), controls.len()), (2, 2));
    assert!(fleet.variable("FLAMEGATE_DATABASE").starts_with("postgres://"));
    assert!(fleet.variable("FLAMEGATE_LIMIT_STORE").starts_with("redis://"));
    fleet.wait_for(fleet.variable("FLAMEGATE_DEMO_KEY"), 200);

    // A second one is told that there is one, and one on its ports which of them are taken.
    let told = refused(&fleet.state, ("LANG", "C"));
    assert!(told.contains("another `make fleet`"), "{told}");
    let told = refused(&fleet.state.join("other"), ("FLAMEGATE_FLEET_PORT", &gateways[0].to_string()));
    assert!(told.contains(&format!("port {} (gateway-1) is taken", gateways[0])), "{told}");

    // Made at one control plane, revoked at the other, and both gateways are in the receipt.
    let (id, key) = fleet.new_key(controls[0]);
    fleet.wait_for(&key, 200);
    let receipt = fleet.revoke(controls[1], &id);
    assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(2), &json!(2)), "{receipt}");
    fleet.wait_for(&key, 401);

    // The same with one control plane: gateways that it had come to the other by themselves.
    let killed = fleet.program("control-1").to_string();
    assert!(Command::new("kill").args(["-9", &killed]).status().expect("kill").success());
    let (id, key) = fleet.new_key(controls[1]);
    fleet.wait_for(&key, 200);
    let receipt = fleet.revoke(controls[1], &id);
    assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(2), &json!(2)), "{receipt}");
    fleet.wait_for(&key, 401);
    // However long that took: no poll failed twice at the control plane that is gone without Envoy leaving it for a while.
    for admin in gateways.iter().map(|gateway| gateway + 5) {
        let stats = |filter: &str| {
            let path = format!("/stats/prometheus?filter={filter}");
            Metrics::parse(&Request::get(&path).send(Protocol::Http1, admin).expect("Envoy's admin").text())
        };
        let failed = stats("sync_failures").value("flamegate_sync_failures_total").unwrap_or_default();
        let left = stats("ejections_enforced_total")
            .value("envoy_cluster_outlier_detection_ejections_enforced_total")
            .unwrap_or_default();
        let cluster = Request::get("/stats?filter=cluster.flamegate-control").send(Protocol::Http1, admin);
        let cluster = cluster.expect("Envoy's admin").text();
        assert!(
            failed <= left,
            "{failed} polls failed, and Envoy left a control plane {left} times: {cluster}"
        );
    }
    eventually("the fleet says that it has ended", || {
        let log = fleet.script.log();
        if log.contains("control-1 has ended (signal SIGKILL)") { Ok(()) } else { Err(log) }
    });

    fleet.script.signal("INT");
    let status = fleet.script.wait();
    assert!(status.success(), "{status}: {}", fleet.script.log());
    for (name, id) in &fleet.programs {
        assert!(!is_there(*id), "{name} {id} is still there");
    }
    for name in ["fleet.env", "fleet.pids"] {
        assert!(!fleet.state.join(name).exists(), "{name} is still there");
    }
}
